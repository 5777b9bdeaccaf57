package manifest

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// maxRuleCost is what the rules (x-kubernetes-validations) of all custom resources of one commit may
// cost; upstream allows a twentieth of it to one object, which is about a second.
const maxRuleCost = 20 * celconfig.RuntimeCELCostBudget

// customRules are what an API server applies to objects of one version of a kind that a
// CustomResourceDefinition defines: the fields that its schema has, their defaults, upstream's rules, and
// those that the definition has of its own.
type customRules struct {
	fields *structural.Structural
	rules  rules
	own    *cel.Validator // nil if there are none
}

// customRulesOf compiles the schema of a version.
func customRulesOf(crd *apiextensionsv1.CustomResourceDefinition, version string) (*customRules, error) {
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd.DeepCopy(), &internal, nil); err != nil {
		return nil, err
	}
	written, err := apiextensions.GetSchemaForVersion(&internal, version)
	if err != nil {
		return nil, err
	}
	if written == nil || written.OpenAPIV3Schema == nil {
		return nil, fmt.Errorf("version %s has no schema", version)
	}
	fields, err := structural.NewStructural(written.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	fields = fields.DeepCopy()
	if err := defaulting.PruneDefaults(fields); err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(written.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	below, err := apiextensions.GetSubresourcesForVersion(&internal, version)
	if err != nil {
		return nil, err
	}
	if below == nil {
		below = &apiextensions.CustomResourceSubresources{}
	}
	gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version, Kind: crd.Spec.Names.Kind}
	strategy := customresource.NewStrategy(crdserverscheme.NewUnstructuredObjectTyper(), crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
		gvk, validator, nil, withoutRules(fields), below.Status, below.Scale, nil)
	own := cel.NewValidator(fields, true, celconfig.PerCallLimit)
	return &customRules{fields, strategyRules{strategy, gvk, crd.Spec.Names.Plural}, own}, nil
}

// withoutRules is a schema without x-kubernetes-validations, whose cost is counted here.
func withoutRules(fields *structural.Structural) *structural.Structural {
	made := fields.DeepCopy()
	v := structural.Visitor{Structural: func(s *structural.Structural) bool {
		had := len(s.XValidations) > 0
		s.XValidations = nil
		return had
	}}
	v.Visit(made)
	return made
}

// check tells which fields of an object the schema does not have, and what is wrong with the others. What
// the definition's own rules cost is taken off budget.
func (c *customRules) check(obj *unstructured.Unstructured, secret bool, budget *int64) (unknown []string, problems []problem) {
	made := obj.DeepCopy()
	track := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown = pruning.PruneWithOptions(made.Object, c.fields, true, track)
	defaulting.PruneNonNullableNullsWithoutDefaults(made.Object, c.fields)
	wrong, more := objectmeta.CoerceWithOptions(nil, made.Object, c.fields, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	unknown = append(unknown, more...)
	defaulting.Default(made.Object, c.fields)
	c.rules.prepare(made)
	errs := c.rules.validate(made)
	if wrong != nil {
		errs = append(errs, wrong)
	}
	if len(errs) == 0 && c.own != nil {
		errs = c.obey(made, budget)
	}
	if secret {
		return unknown, secretProblemsOf(errs)
	}
	return unknown, problemsOf(errs)
}

// obey applies the definition's own rules.
func (c *customRules) obey(made *unstructured.Unstructured, budget *int64) field.ErrorList {
	most := min(*budget, celconfig.RuntimeCELCostBudget)
	errs, left := c.own.Validate(request.NewContext(), nil, c.fields, made.Object, nil, most)
	*budget -= most - max(left, 0)
	return errs
}

// conform checks custom resources against the schemas of their definitions.
func (l *loader) conform(objects []*parsed, known scopes) {
	compiled := make(map[schema.GroupVersionKind]*customRules)
	budget := int64(maxRuleCost)
	for _, p := range objects {
		gvk := p.Object.GetObjectKind().GroupVersionKind()
		s, defined := known[p.Ref.GroupKind()]
		if !defined || !slices.Contains(s.versions, gvk.Version) || s.namespaced != (p.Ref.Namespace != "") {
			continue // resolve has told of it
		}
		c, done := compiled[gvk]
		if !done {
			c = l.compile(s.definition, gvk.Version)
			compiled[gvk] = c
		}
		if c != nil {
			l.conforms(p, c, s.definition, &budget)
		}
	}
}

// compile is customRulesOf, nil after reporting why it cannot be.
func (l *loader) compile(definition *parsed, version string) *customRules {
	defer l.survive(definition)
	c, err := customRulesOf(definition.Object.(*apiextensionsv1.CustomResourceDefinition), version)
	if err != nil {
		l.about(definition, "spec.versions", err.Error())
		return nil
	}
	return c
}

// conforms reports what is wrong with a custom resource.
func (l *loader) conforms(p *parsed, c *customRules, definition *parsed, budget *int64) {
	defer l.survive(p)
	obj, custom := p.Object.(*unstructured.Unstructured)
	if !custom || p.veil != nil && p.veil.Unknown {
		return // nobody knows the values
	}
	unknown, problems := c.check(obj, p.veil != nil, budget)
	for _, name := range unknown {
		l.about(p, name, fmt.Sprintf("unknown field, %s in %s does not have it", definition.Ref, definition.Source))
	}
	for _, wrong := range problems {
		l.about(p, wrong.path, wrong.what)
	}
}

// survive turns a panic of upstream's code on hostile content into a mistake of the object.
func (l *loader) survive(p *parsed) {
	if cause := recover(); cause != nil {
		l.about(p, "", fmt.Sprintf("cannot be checked: %v", cause))
	}
}
