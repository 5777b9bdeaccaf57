package access

import (
	"context"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"writ/manifest"
	"writ/state"
)

// Worlds is where the present World comes from.
type Worlds interface{ World() *state.World }

// NewRBAC decides by the Roles and bindings of the World, and by those that every cluster has.
func NewRBAC(worlds Worlds) *rbac.RBACAuthorizer {
	r := newRoles(worlds)
	return rbac.New(r, r, r, r)
}

// roles finds Roles and bindings. What is declared under a name that every cluster has stands in its place.
type roles struct {
	worlds          Worlds
	clusterRoles    map[string]*rbacv1.ClusterRole // aggregated ones without their rules
	clusterBindings []*rbacv1.ClusterRoleBinding
	roles           map[string]map[string]*rbacv1.Role // by namespace and name
	bindings        map[string][]*rbacv1.RoleBinding
}

func newRoles(worlds Worlds) *roles {
	r := &roles{
		worlds: worlds, clusterRoles: map[string]*rbacv1.ClusterRole{},
		roles: map[string]map[string]*rbacv1.Role{}, bindings: map[string][]*rbacv1.RoleBinding{},
	}
	for _, role := range slices.Concat(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()) {
		r.clusterRoles[role.Name] = &role
	}
	for _, binding := range slices.Concat(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()) {
		r.clusterBindings = append(r.clusterBindings, &binding)
	}
	for namespace, of := range bootstrappolicy.NamespaceRoles() {
		r.roles[namespace] = map[string]*rbacv1.Role{}
		for _, role := range of {
			r.roles[namespace][role.Name] = &role
		}
	}
	for namespace, of := range bootstrappolicy.NamespaceRoleBindings() {
		for _, binding := range of {
			r.bindings[namespace] = append(r.bindings[namespace], &binding)
		}
	}
	return r
}

func ref(kind, namespace, name string) manifest.Ref {
	return manifest.Ref{Group: rbacv1.GroupName, Kind: kind, Namespace: namespace, Name: name}
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name)
}

// GetRole is a Role.
func (r *roles) GetRole(_ context.Context, namespace, name string) (*rbacv1.Role, error) {
	if role := object[*rbacv1.Role](r.worlds.World(), ref("Role", namespace, name)); role != nil {
		return role, nil
	}
	if role := r.roles[namespace][name]; role != nil {
		return role, nil
	}
	return nil, notFound("roles", name)
}

// GetClusterRole is a ClusterRole with the rules of those that it aggregates.
func (r *roles) GetClusterRole(_ context.Context, name string) (*rbacv1.ClusterRole, error) {
	w := r.worlds.World()
	role := object[*rbacv1.ClusterRole](w, ref("ClusterRole", "", name))
	if role == nil {
		role = r.clusterRoles[name]
	}
	switch {
	case role == nil:
		return nil, notFound("clusterroles", name)
	case role.AggregationRule == nil:
		return role, nil
	}
	aggregated := *role
	aggregated.Rules = aggregate(role, r.all(w), map[string]bool{})
	return &aggregated, nil
}

// aggregate are the rules of all ClusterRoles that a ClusterRole's rule of aggregation selects, of those that aggregate
// others themselves, too: admin takes in edit, which takes in view. Each is taken once.
func aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole, taken map[string]bool) []rbacv1.PolicyRule {
	taken[role.Name] = true
	if role.AggregationRule == nil {
		return role.Rules
	}
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			continue // refused when it is read
		}
		for _, other := range all {
			if !taken[other.Name] && selector.Matches(labels.Set(other.Labels)) {
				rules = append(rules, aggregate(other, all, taken)...)
			}
		}
	}
	return rules
}

// all are the ClusterRoles, each once.
func (r *roles) all(w *state.World) []*rbacv1.ClusterRole {
	all := objects[*rbacv1.ClusterRole](w, "ClusterRole", "")
	for name, role := range r.clusterRoles {
		if w.Get(ref("ClusterRole", "", name)) == nil {
			all = append(all, role)
		}
	}
	return all
}

// ListRoleBindings are those of a namespace.
func (r *roles) ListRoleBindings(_ context.Context, namespace string) ([]*rbacv1.RoleBinding, error) {
	w := r.worlds.World()
	list := objects[*rbacv1.RoleBinding](w, "RoleBinding", namespace)
	for _, binding := range r.bindings[namespace] {
		if w.Get(ref("RoleBinding", namespace, binding.Name)) == nil {
			list = append(list, binding)
		}
	}
	return list, nil
}

// ListClusterRoleBindings are all.
func (r *roles) ListClusterRoleBindings(context.Context) ([]*rbacv1.ClusterRoleBinding, error) {
	w := r.worlds.World()
	list := objects[*rbacv1.ClusterRoleBinding](w, "ClusterRoleBinding", "")
	for _, binding := range r.clusterBindings {
		if w.Get(ref("ClusterRoleBinding", "", binding.Name)) == nil {
			list = append(list, binding)
		}
	}
	return list, nil
}

// object is that of a record, which nobody modifies; the zero value without one.
func object[T manifest.Object](w *state.World, ref manifest.Ref) (o T) {
	if r := w.Get(ref); r != nil {
		o, _ = r.Object.(T)
	}
	return o
}

func objects[T manifest.Object](w *state.World, kind, namespace string) []T {
	var list []T
	for r := range w.List(rbacv1.GroupName, kind, namespace) {
		if o, ok := r.Object.(T); ok {
			list = append(list, o)
		}
	}
	return list
}
