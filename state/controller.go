package state

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Controller is who controls an authored object: a Pod of the repository that a ReplicaSet took on. What is derived
// names its controller in its object. In a Put the zero Controller says that nobody does any more.
type Controller struct {
	APIVersion, Kind, Name string
	UID                    types.UID
}

// ControllerOf is who controls an object, nil if nobody does. The caller must not modify it.
func ControllerOf(r *Record) *metav1.OwnerReference {
	if r.Controller != nil {
		return r.Controller.reference()
	}
	return metav1.GetControllerOfNoCopy(r.Object)
}

// reference is a Controller as upstream writes it.
func (c *Controller) reference() *metav1.OwnerReference {
	yes := true
	return &metav1.OwnerReference{APIVersion: c.APIVersion, Kind: c.Kind, Name: c.Name, UID: c.UID, Controller: &yes, BlockOwnerDeletion: &yes}
}

// None says that nobody controls an object any more.
func (c *Controller) None() bool { return *c == (Controller{}) }

// controlled is what a Put makes of who controls an object.
func (c *Controller) controlled() *Controller {
	if c.None() {
		return nil
	}
	return c
}

func encodeController(c *Controller) []byte {
	b := appendText(nil, 1, c.APIVersion)
	b = appendText(b, 2, c.Kind)
	b = appendText(b, 3, c.Name)
	return appendText(b, 4, string(c.UID))
}

func decodeController(data []byte) (*Controller, error) {
	c := &Controller{}
	return c, eachField(data, func(f field) error {
		switch f.n {
		case 1:
			c.APIVersion = f.text()
		case 2:
			c.Kind = f.text()
		case 3:
			c.Name = f.text()
		case 4:
			c.UID = types.UID(f.text())
		}
		return nil
	})
}
