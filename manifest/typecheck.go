package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// typeProblems compares a decoded JSON value (numbers as json.Number) with the Go type that it is
// meant for and lists every value of a wrong type, and every field that the type does not have.
// Decoding itself reports only the first wrong type, and then no unknown field. Of a veiled object strings
// are told whole: of a part of one nobody could tell what was encrypted.
func typeProblems(value any, t reflect.Type, veiled bool) (wrong, unknown []problem) {
	c := typeChecker{secret: t == reflect.TypeFor[*corev1.Secret](), veiled: veiled}
	c.check("", value, t)
	return c.problems, c.unknown
}

type typeChecker struct {
	problems, unknown []problem
	secret            bool // values must not be shown
	veiled            bool // what was encrypted is taken out of them later
}

// found is what stands in the place of a value of another type.
func (c *typeChecker) found(value any) string {
	if c.secret {
		return "a value of another type"
	}
	if text, ok := value.(string); ok && c.veiled {
		return "string " + strconv.Quote(text)
	}
	return describe(value)
}

func (c *typeChecker) add(path, format string, args ...any) {
	c.problems = append(c.problems, problem{path, fmt.Sprintf(format, args...)})
}

func (c *typeChecker) check(path string, value any, t reflect.Type) {
	if value == nil {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if decodesItself(t) {
		c.decode(path, value, t)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		if object, ok := c.object(path, value); ok {
			fields := map[string]reflect.Type{}
			jsonFields(t, fields)
			c.structure(path, object, fields)
		}
	case reflect.Map:
		object, _ := c.object(path, value)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			c.check(path+"["+key+"]", object[key], t.Elem())
		}
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			c.add(path, "must be a list, found %s", c.found(value))
		}
		for i, v := range list {
			c.check(path+"["+strconv.Itoa(i)+"]", v, t.Elem())
		}
	default:
		c.scalar(path, value, t)
	}
}

func (c *typeChecker) object(path string, value any) (map[string]any, bool) {
	object, ok := value.(map[string]any)
	if !ok {
		c.add(path, "must be a mapping, found %s", c.found(value))
	}
	return object, ok
}

func (c *typeChecker) structure(path string, object map[string]any, fields map[string]reflect.Type) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		if t, known := fields[key]; known {
			c.check(at, object[key], t)
		} else {
			c.unknown = append(c.unknown, problem{at, fmt.Sprintf("unknown field %q", at)})
		}
	}
}

func (c *typeChecker) scalar(path string, value any, t reflect.Type) {
	number, isNumber := value.(json.Number)
	switch t.Kind() {
	case reflect.String:
		if _, ok := value.(string); !ok {
			c.add(path, "must be a string, found %s%s", c.found(value), quoteHint(value))
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			c.add(path, "must be true or false, found %s", c.found(value))
		}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		if !isNumber {
			c.add(path, "must be a whole number, found %s", c.found(value))
		} else if _, err := strconv.ParseInt(number.String(), 10, t.Bits()); err != nil {
			c.add(path, "must be a whole number of at most %d bits, found %s", t.Bits(), number)
		}
	case reflect.Float32, reflect.Float64:
		if !isNumber {
			c.add(path, "must be a number, found %s", c.found(value))
		}
	}
}

// decode tries a value on a type that has its own way of reading JSON.
func (c *typeChecker) decode(path string, value any, t reflect.Type) {
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	switch {
	case err != nil && c.secret:
		c.add(path, "cannot be read as base64")
	case err != nil && t == reflect.TypeFor[intstr.IntOrString]():
		c.add(path, "must be a whole number or a string, found %s%s", c.found(value), percentHint(value))
	case err != nil:
		c.add(path, "found %s: %v", c.found(value), err)
	}
}

// percentHint tells how a part of a whole is written.
func percentHint(value any) string {
	number, _ := value.(json.Number)
	if part, err := number.Float64(); err == nil && part > 0 && part < 1 {
		return fmt.Sprintf(" (write \"%.0f%%\")", part*100)
	}
	return ""
}

// decodesItself is true for types with an UnmarshalJSON (quantities, times) and for bytes (base64).
func decodesItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// jsonName is the name of a field in JSON, empty if it has none, and whether its own fields stand in
// the place of it.
func jsonName(f reflect.StructField) (name string, inline bool) {
	tag, tagged := f.Tag.Lookup("json")
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case name == "-" || !f.IsExported():
		return "", false
	case name == "" && f.Type.Kind() == reflect.Struct && (f.Anonymous || strings.Contains(options, "inline")):
		return "", true
	case name == "" && !tagged:
		return f.Name, false
	}
	return name, false
}

// jsonFields gathers the fields of a struct by their names in JSON.
func jsonFields(t reflect.Type, fields map[string]reflect.Type) {
	for i := range t.NumField() {
		name, inline := jsonName(t.Field(i))
		if inline {
			jsonFields(t.Field(i).Type, fields)
		} else if name != "" {
			fields[name] = t.Field(i).Type
		}
	}
}

// describe names what was found as the author would.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		if len(v) > 40 {
			v = v[:40] + "..."
		}
		return "string " + strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return "number " + v.String()
	case float64:
		return "number " + strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "null"
}

// quoteHint tells how to make a string of a scalar that YAML reads as something else.
func quoteHint(value any) string {
	switch value.(type) {
	case bool, json.Number:
		return " (put it in quotes)"
	}
	return ""
}
