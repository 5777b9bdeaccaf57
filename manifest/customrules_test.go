package manifest

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const widgetDefinition = `-- crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations:
            - {rule: "self.size <= self.most", message: size is above most}
            properties:
              size: {type: integer}
              most: {type: integer, default: 10}
              color: {type: string, enum: [red, blue]}
              token: {type: string, maxLength: 3}
              anything: {type: object, x-kubernetes-preserve-unknown-fields: true}
              ports:
                type: array
                maxItems: 5
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string, maxLength: 9}}}
  - name: v2
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func widget(version, spec string) string {
	return widgetDefinition + "-- w.yaml --\napiVersion: example.com/" + version + "\nkind: Widget\nmetadata: {name: w}\nspec:\n" + spec
}

func TestLoad_CustomResourcesFitTheirDefinition(t *testing.T) {
	const about = ": Widget/default/w: "
	for _, test := range []struct{ name, version, spec, want string }{
		{"everything", "v1", "  {size: 1, color: red, token: abc, anything: {a: [1]}, ports: [{name: a}, {name: b}]}", ""},
		{"a version without fields", "v2", "  {banana: 1}", ""},
		{"an unknown field", "v1", "  size: 1\n  sise: 2",
			"w.yaml:6" + about + "spec.sise: unknown field, CustomResourceDefinition/widgets.example.com in crd.yaml:1 does not have it"},
		{"an unknown field of a list's element", "v1", "  size: 1\n  ports:\n  - name: a\n    port: 1",
			"w.yaml:8" + about + "spec.ports[0].port: unknown field, CustomResourceDefinition/widgets.example.com in crd.yaml:1 does not have it"},
		{"a missing field", "v1", "  color: red", "w.yaml:4" + about + "spec.size: Required value"},
		{"a wrong type", "v1", "  size: one",
			"w.yaml:5" + about + `spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"`},
		{"a value out of a list", "v1", "  size: 1\n  color: green", "w.yaml:6" + about + `spec.color: Unsupported value: "green": supported values: "red", "blue"`},
		{"one key twice", "v1", "  size: 1\n  ports:\n  - name: a\n  - name: a", "w.yaml:8" + about + `spec.ports[1]: Duplicate value: {"name":"a"}`},
		{"a rule, with a default in it", "v1", "  size: 11", `w.yaml:4` + about + `spec: Invalid value: size is above most`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(tree(t, widget(test.version, test.spec)), nil)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The rules of a definition cannot cost more than there is to spend on a commit.
func TestCustomRules_Cost(t *testing.T) {
	set := mustLoad(t, tree(t, widget("v1", "  size: 1")), nil)
	definition, _ := set.Get(Ref{Group: definitionKind.Group, Kind: definitionKind.Kind, Name: "widgets.example.com"})
	item, _ := set.Get(Ref{Group: "example.com", Kind: "Widget", Namespace: "default", Name: "w"})
	rules, err := customRulesOf(definition.Object.(*apiextensionsv1.CustomResourceDefinition), "v1")
	if err != nil {
		t.Fatal(err)
	}
	budget := int64(maxRuleCost)
	if _, problems := rules.check(item.Object.(*unstructured.Unstructured), false, &budget); len(problems) > 0 {
		t.Error(problems)
	}
	cost := maxRuleCost - budget
	if cost < 1 || cost > 100 {
		t.Errorf("one small rule costs %d", cost)
	}
	for budget = cost; budget > 0; {
		if _, problems := rules.check(item.Object.(*unstructured.Unstructured), false, &budget); len(problems) > 0 {
			t.Errorf("with %d left: %v", budget, problems)
		}
	}
	_, problems := rules.check(item.Object.(*unstructured.Unstructured), false, &budget)
	if len(problems) != 1 || !strings.Contains(problems[0].what, "running out of cost budget") {
		t.Errorf("with nothing left: %v", problems)
	}
}

// What a resource is worth is decided again when its definition changes, though its own file did not.
func TestLoad_CustomResourcesFollowTheirDefinition(t *testing.T) {
	text := widget("v1", "  size: 1")
	before := newHashed(tree(t, text))
	set := mustLoad(t, before, nil)
	stricter := strings.Replace(widgetDefinition, "size: {type: integer}", "size: {type: integer, minimum: 2}", 1)
	_, err := Load(before.with("crd.yaml", strings.TrimPrefix(stricter, "-- crd.yaml --\n")), set)
	if err == nil || !strings.Contains(err.Error(), "spec.size in body should be greater than or equal to 2") {
		t.Errorf("got %v, want that the size is too small", err)
	}
}

func TestLoad_NameOfTheDefinitionAsGroup(t *testing.T) {
	_, err := Load(tree(t, widgetDefinition+"-- w.yaml --\napiVersion: widgets.example.com/v1\nkind: Widget\nmetadata: {name: w}\n"), nil)
	if want := "w.yaml:1: Widget/w: apiVersion: widgets.example.com is the name of the definition of Widget; write example.com/v1"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
