package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// Fields of a stored Record. Numbers are never used again for anything else.
const (
	recordGroup protowire.Number = iota + 1
	recordKind
	recordNamespace
	recordName
	recordUID
	recordOrigin
	recordGeneration
	recordCreated
	recordRevision
	recordCommit
	recordObject  // as manifest.Encode has it; a Pod's without its spec
	recordPodSpec // a Pod's spec, which it usually shares with its brothers
	recordNode
	recordDeletion
	recordAllocation
	recordStatusType
	recordStatus
	recordRouted
	recordAnnotation // repeated: a key and its value
	recordMetrics
	recordScaling
	recordController
)

// EncodeRecord writes a record compactly. Equal records give equal bytes. The error is that of an
// object or status which cannot be written.
func EncodeRecord(r *Record) ([]byte, error) {
	b, err := AppendRecord(nil, r)
	return b, err
}

// AppendRecord is EncodeRecord behind what b holds already.
func AppendRecord(b []byte, r *Record) ([]byte, error) {
	if r.Object == nil {
		return nil, fmt.Errorf("encode record %s: it has no object", r.Ref)
	}
	b = appendText(b, recordGroup, r.Ref.Group)
	b = appendText(b, recordKind, r.Ref.Kind)
	b = appendText(b, recordNamespace, r.Ref.Namespace)
	b = appendText(b, recordName, r.Ref.Name)
	b = appendText(b, recordUID, string(r.UID))
	b = appendNumber(b, recordOrigin, uint64(r.Origin))
	b = appendSigned(b, recordGeneration, r.Generation)
	b = appendTime(b, recordCreated, r.Created)
	b = appendNumber(b, recordRevision, uint64(r.Revision))
	b = appendText(b, recordCommit, r.Commit)
	b, err := appendObject(b, r)
	if err != nil {
		return nil, err
	}
	b = appendText(b, recordNode, string(r.Node))
	if r.Deletion != nil {
		b = appendBlock(b, recordDeletion, encodeDeletion(r.Deletion))
	}
	if r.Allocation != nil {
		b = appendBlock(b, recordAllocation, encodeAllocation(r.Allocation))
	}
	if b, err = appendStatus(b, r); err != nil {
		return nil, err
	}
	b = appendNumber(b, recordRouted, uint64(r.Routed))
	for _, key := range slices.Sorted(maps.Keys(r.Annotations)) {
		b = appendBlock(b, recordAnnotation, appendText(appendText(nil, 1, key), 2, r.Annotations[key]))
	}
	if r.Metrics != nil {
		b = appendBlock(b, recordMetrics, encodeMetrics(r.Metrics))
	}
	if r.Scaling != nil {
		b = appendBlock(b, recordScaling, encodeScaling(r.Scaling))
	}
	if r.Controller != nil {
		b = appendBlock(b, recordController, encodeController(r.Controller))
	}
	return b, nil
}

func appendObject(b []byte, r *Record) ([]byte, error) {
	object := r.Object
	pod, isPod := object.(*corev1.Pod)
	if isPod {
		object = &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: pod.ObjectMeta, Status: pod.Status}
	}
	data, err := manifest.Encode(object)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", r.Ref, err)
	}
	b = appendBlock(b, recordObject, data)
	if !isPod {
		return b, nil
	}
	spec, err := pod.Spec.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", r.Ref, err)
	}
	return appendBlock(b, recordPodSpec, spec), nil
}

// DecodeRecord reads what EncodeRecord wrote. The record shares no memory with data.
func DecodeRecord(data []byte) (*Record, error) { return new(Decoder).Record(data) }

// Decoder reads many records, letting those with equal pod specs share one in memory: the Pods of a
// ReplicaSet cost their metadata only. The zero Decoder is ready; it is for one goroutine at a time.
type Decoder struct {
	specs map[string]*corev1.PodSpec
	texts map[string]string
}

// Record reads what EncodeRecord wrote. The record shares no memory with data.
func (d *Decoder) Record(data []byte) (*Record, error) {
	r := &Record{}
	var object, spec, status []byte
	var statusType uint64
	err := eachField(data, func(f field) (err error) {
		switch f.n {
		case recordGroup:
			r.Ref.Group = d.shared(f.block)
		case recordKind:
			r.Ref.Kind = d.shared(f.block)
		case recordNamespace:
			r.Ref.Namespace = d.shared(f.block)
		case recordName:
			r.Ref.Name = f.text()
		case recordUID:
			r.UID = types.UID(f.text())
		case recordOrigin:
			r.Origin = Origin(f.number)
		case recordGeneration:
			r.Generation = f.signed()
		case recordCreated:
			r.Created, err = f.time()
		case recordRevision:
			r.Revision = Revision(f.number)
		case recordCommit:
			r.Commit = d.shared(f.block)
		case recordObject:
			object = f.block
		case recordPodSpec:
			spec = f.block
		case recordNode:
			r.Node = Node(d.shared(f.block))
		case recordDeletion:
			r.Deletion, err = decodeDeletion(f.block)
		case recordAllocation:
			r.Allocation, err = decodeAllocation(f.block)
		case recordStatusType:
			statusType = f.number
		case recordStatus:
			status = f.block
		case recordRouted:
			r.Routed = Revision(f.number)
		case recordAnnotation:
			err = r.decodeAnnotation(f.block)
		case recordMetrics:
			r.Metrics, err = decodeMetrics(f.block)
		case recordScaling:
			r.Scaling, err = decodeScaling(f.block)
		case recordController:
			r.Controller, err = decodeController(f.block)
		}
		return err
	})
	if err == nil {
		err = d.object(r, object, spec)
	}
	if err == nil {
		r.Status, err = decodeStatus(statusType, status)
	}
	if err != nil {
		return nil, fmt.Errorf("decode record %s: %w", r.Ref, err)
	}
	return r, nil
}

func (d *Decoder) object(r *Record, object, spec []byte) (err error) {
	if r.Ref.Kind == "" || object == nil {
		return errors.New("it is incomplete")
	}
	if r.Object, err = manifest.Decode(r.Ref.GroupKind(), object); err != nil {
		return err
	}
	pod, ok := r.Object.(*corev1.Pod)
	if !ok || spec == nil {
		return nil
	}
	shared := d.specs[string(spec)]
	if shared == nil {
		shared = &corev1.PodSpec{}
		if err := shared.Unmarshal(slices.Clone(spec)); err != nil {
			return err
		}
		if d.specs == nil {
			d.specs = map[string]*corev1.PodSpec{}
		}
		d.specs[string(spec)] = shared
	}
	pod.Spec = *shared
	return nil
}

// shared is a string that many records have in common.
func (d *Decoder) shared(b []byte) string {
	if s, ok := d.texts[string(b)]; ok {
		return s
	}
	if d.texts == nil {
		d.texts = map[string]string{}
	}
	s := string(b)
	d.texts[s] = s
	return s
}

func (r *Record) decodeAnnotation(data []byte) error {
	var key, value string
	err := eachField(data, func(f field) error {
		switch f.n {
		case 1:
			key = f.text()
		case 2:
			value = f.text()
		}
		return nil
	})
	if r.Annotations == nil {
		r.Annotations = map[string]string{}
	}
	r.Annotations[key] = value
	return err
}

func encodeDeletion(d *Deletion) []byte {
	b := appendTime(nil, 1, d.At)
	b = appendSigned(b, 2, d.Grace)
	b = appendNumber(b, 3, uint64(d.Revision))
	return appendText(b, 4, d.Reason)
}

func decodeDeletion(data []byte) (*Deletion, error) {
	d := &Deletion{}
	return d, eachField(data, func(f field) (err error) {
		switch f.n {
		case 1:
			d.At, err = f.time()
		case 2:
			d.Grace = f.signed()
		case 3:
			d.Revision = Revision(f.number)
		case 4:
			d.Reason = f.text()
		}
		return err
	})
}

func encodeAllocation(a *Allocation) []byte {
	var b []byte
	for _, ip := range a.ClusterIPs {
		b = appendBlock(b, 1, []byte(ip))
	}
	for _, key := range slices.Sorted(maps.Keys(a.NodePorts)) {
		b = appendBlock(b, 2, appendSigned(appendText(nil, 1, key), 2, int64(a.NodePorts[key])))
	}
	b = appendText(b, 3, a.Volume)
	if c := a.Claim; c != nil {
		b = appendBlock(b, 4, appendText(appendText(appendText(nil, 1, c.Namespace), 2, c.Name), 3, string(c.UID)))
	}
	if a.Replicas != nil { // plus one: zero is not written
		b = appendSigned(b, 5, int64(*a.Replicas)+1)
	}
	return b
}

func decodeAllocation(data []byte) (*Allocation, error) {
	a := &Allocation{}
	return a, eachField(data, func(f field) error {
		switch f.n {
		case 1:
			a.ClusterIPs = append(a.ClusterIPs, f.text())
		case 2:
			return a.decodePort(f.block)
		case 3:
			a.Volume = f.text()
		case 4:
			a.Claim = &Claimed{}
			return a.Claim.decode(f.block)
		case 5:
			n := int32(f.signed() - 1)
			a.Replicas = &n
		}
		return nil
	})
}

func (c *Claimed) decode(data []byte) error {
	return eachField(data, func(f field) error {
		switch f.n {
		case 1:
			c.Namespace = f.text()
		case 2:
			c.Name = f.text()
		case 3:
			c.UID = types.UID(f.text())
		}
		return nil
	})
}

func (a *Allocation) decodePort(data []byte) error {
	var key string
	var port int32
	err := eachField(data, func(f field) error {
		switch f.n {
		case 1:
			key = f.text()
		case 2:
			port = int32(f.signed())
		}
		return nil
	})
	if a.NodePorts == nil {
		a.NodePorts = map[string]int32{}
	}
	a.NodePorts[key] = port
	return err
}
