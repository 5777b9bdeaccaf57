package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// Names of Services that are there although nobody wrote them.
const (
	kubernetesService = "kubernetes"
	dnsService        = "kube-dns"
)

// systemNamespaces are there from the first adoption on.
func systemNamespaces() []string {
	return []string{metav1.NamespaceDefault, corev1.NamespaceNodeLease, metav1.NamespacePublic, metav1.NamespaceSystem}
}

// builtins makes what is undeclared but there: for a zero ref the namespaces and Services of the
// cluster, for a Namespace what every namespace has. An authored object of the same name stands.
func (d *draft) builtins(ref manifest.Ref) {
	if ref.Kind == "" {
		for _, name := range systemNamespaces() {
			d.ensure(manifest.NamespaceRef(name))
		}
		d.ensure(manifest.ServiceRef(metav1.NamespaceDefault, kubernetesService))
		d.ensure(manifest.ServiceRef(metav1.NamespaceSystem, dnsService))
		d.ensureClass()
		return
	}
	if ns := d.w.Get(ref); ns != nil && ns.Deletion == nil {
		d.ensure(manifest.ServiceAccountRef(ref.Name, "default"))
		d.ensureRootCA(manifest.ConfigMapRef(ref.Name, rootCA))
	}
}

func (d *draft) ensure(ref manifest.Ref) {
	if d.w.Get(ref) == nil {
		d.put(state.Put{Ref: ref, Object: d.builtin(ref), Origin: state.Builtin, Why: "always there"})
	}
}

const rootCA = admit.RootCA

// rootCAKey is where clients look in it.
const rootCAKey = "ca.crt"

// ensureRootCA shows a namespace the certificate of the cluster's authority as it is now.
func (d *draft) ensureRootCA(ref manifest.Ref) {
	r := d.w.Get(ref)
	if r == nil || r.Origin != state.Builtin || d.options.RootCA == "" {
		d.ensure(ref)
		return
	}
	if cm, ok := r.Object.(*corev1.ConfigMap); ok && cm.Data[rootCAKey] != d.options.RootCA {
		d.put(state.Put{Ref: ref, Object: d.builtin(ref), Origin: state.Builtin, Why: "the cluster's authority"})
	}
}

// builtin is the object that stands under a name when nobody wrote one, with what this cluster has of
// its own; nil for all other names.
func (d *draft) builtin(ref manifest.Ref) manifest.Object {
	o := builtin(ref)
	if cm, ok := o.(*corev1.ConfigMap); ok && d.options.RootCA != "" {
		cm.Data = map[string]string{rootCAKey: d.options.RootCA}
	}
	return o
}

// builtin is the same without what a cluster has of its own.
func builtin(ref manifest.Ref) manifest.Object {
	switch {
	case ref.Kind == "Namespace":
		for _, name := range systemNamespaces() {
			if name == ref.Name {
				return defaulted(&corev1.Namespace{
					ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}},
					Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
				})
			}
		}
	case ref == manifest.StorageClassRef(state.LocalClass):
		return localClass(true)
	case ref.Kind == "ServiceAccount" && ref.Name == "default":
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
	case ref.Kind == "ConfigMap" && ref.Name == rootCA:
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
	case ref == manifest.ServiceRef(metav1.NamespaceDefault, kubernetesService):
		return defaulted(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ref.Namespace, Name: ref.Name,
				Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
			},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{
				{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(6443)},
			}},
		})
	case ref == manifest.ServiceRef(metav1.NamespaceSystem, dnsService):
		return defaulted(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ref.Namespace, Name: ref.Name,
				Labels: map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"},
			},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			}},
		})
	}
	return nil
}
