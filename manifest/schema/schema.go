package schema

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"writ/manifest"
)

// Draft is the dialect of the schema.
const Draft = "http://json-schema.org/draft-07/schema#"

// Node is a schema, or a part of one, as JSON has it.
type Node map[string]any

// Settings is the schema of writ.yaml.
func Settings() Node {
	root := typed(reflect.TypeFor[manifest.Cluster](), "")
	root["$schema"] = Draft
	root["title"] = "writ.yaml"
	return root
}

// typed is the schema of a Go type as it is read from YAML, at a path of writ.yaml.
func typed(t reflect.Type, at string) Node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	n := Node{}
	switch t.Kind() {
	case reflect.String:
		n["type"] = "string"
	case reflect.Bool:
		n["type"] = "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64:
		n["type"] = "integer"
	case reflect.Slice:
		n["type"], n["items"] = "array", typed(t.Elem(), at+"[]")
	case reflect.Map:
		n["type"] = "object" // of the author's own fields
	case reflect.Struct:
		n["type"], n["additionalProperties"] = "object", false
		n["properties"] = properties(t, at)
	default:
		panic(fmt.Sprintf("schema: %s is a %s, which no row of writ.yaml was until now", at, t))
	}
	maps.Copy(n, rows[at].more)
	if d := rows[at].description; d != "" {
		n["description"] = d
	}
	return n
}

func properties(t reflect.Type, at string) Node {
	all := Node{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if slices.Contains(strings.Split(options, ","), "inline") {
			maps.Copy(all, properties(field.Type, at))
			continue
		}
		all[name] = typed(field.Type, strings.TrimPrefix(at+"."+name, "."))
	}
	return all
}
