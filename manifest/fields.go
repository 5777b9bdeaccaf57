package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// FieldUse is a field of an object that is written and not supported yet.
type FieldUse struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Line   int    `json:"line,omitempty"` // in the file, where the object comes from one
}

// support is what is done about a field.
type support int

const (
	unlisted support = iota
	actedOn          // it works
	ignored          // it has no effect here, and that is right
	missing          // it is not supported yet: what uses it is not started
)

// use is the row of one field in the tables.
type use struct {
	support support
	reason  string            // why a field is ignored, or what is missing
	fine    []string          // values of a missing field that ask for nothing
	only    []string          // the only values, elements or keys of the field that work
	never   []string          // values that are missing while the field itself works
	without map[string]string // fields of the value that are missing here and work elsewhere
	when    func(parent any) string
}

// fields is what is done about every field of one Go type, by its name in JSON.
type fields map[string]use

var works = use{support: actedOn}

// noEffect lists a field that is rightly ignored.
func noEffect(reason string) use { return use{support: ignored, reason: reason} }

// notYet lists a field that stops the object, unless it has one of the values that ask for nothing.
func notYet(what string, fine ...string) use {
	return use{support: missing, reason: what + " not supported yet", fine: fine}
}

// but lists a field that works except for some values.
func (u use) but(what string, values ...string) use {
	u.reason, u.never = what+" not supported yet", values
	return u
}

// worksOnly lists a field of which only some values, elements or keys work.
func worksOnly(what string, values ...string) use {
	return use{support: actedOn, reason: what + " not supported yet", only: values}
}

// NotYet lists the fields that an object of an acted-on kind uses and that are not supported yet,
// in the order of upstream's types. Such an object is not started. The lines are 0.
func NotYet(obj Object) []FieldUse {
	k := kindOf(obj)
	if k == nil || !k.acted {
		return nil
	}
	var f finder
	f.structure("", reflect.ValueOf(obj).Elem(), nil)
	return f.uses
}

// finder walks an object beside the tables.
type finder struct{ uses []FieldUse }

func (f *finder) report(path, reason string) {
	f.uses = append(f.uses, FieldUse{Path: path, Reason: reason})
}

func (f *finder) structure(path string, v reflect.Value, without map[string]string) {
	plan := planOf(v.Type())
	for i := range plan {
		step := &plan[i]
		if step.silent && len(without) == 0 {
			continue
		}
		field := v.Field(step.index)
		if step.inline {
			f.structure(path, field, without)
			continue
		}
		if step.use.support == ignored && len(step.use.never) == 0 || field.IsZero() || emptyList(field) {
			continue
		}
		at := step.name
		if path != "" {
			at = path + "." + step.name
		}
		if reason, found := without[step.name]; found {
			f.report(at, reason)
			continue
		}
		f.field(at, field, step.use, v)
	}
}

func emptyList(v reflect.Value) bool {
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

func (f *finder) field(path string, v reflect.Value, u use, parent reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case u.when != nil:
		if reason := u.when(parent.Interface()); reason != "" {
			f.report(path, reason)
		}
	case u.support == missing:
		if !slices.Contains(u.fine, scalarText(v)) {
			f.report(path, u.reason)
		}
	case len(u.only) > 0 || len(u.never) > 0:
		f.values(path, v, u)
	case u.support == actedOn:
		f.descend(path, v, u.without)
	}
}

// values checks a scalar, the elements of a list or the keys of a map.
func (f *finder) values(path string, v reflect.Value, u use) {
	check := func(at string, e reflect.Value) {
		text := scalarText(e)
		if slices.Contains(u.never, text) || len(u.only) > 0 && text != "" && !slices.Contains(u.only, text) {
			f.report(at, fmt.Sprintf("%s: %s", text, u.reason))
		}
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			check(path+"["+strconv.Itoa(i)+"]", v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			check(path+"["+key.String()+"]", key)
		}
	default:
		check(path, v)
	}
}

func (f *finder) descend(path string, v reflect.Value, without map[string]string) {
	switch v.Kind() {
	case reflect.Struct:
		if tables[v.Type()] != nil {
			f.structure(path, v, without)
		}
	case reflect.Slice:
		if e := v.Type().Elem(); e.Kind() != reflect.Struct || tables[e] == nil {
			return
		}
		for i := range v.Len() {
			f.structure(path+"["+strconv.Itoa(i)+"]", v.Index(i), without)
		}
	}
}

// scalarText is a value as it is written in a manifest, or its Go form for what is no scalar.
func scalarText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	}
	return v.Type().String()
}

// step is one field of a type with its row.
type step struct {
	index  int
	name   string
	inline bool
	silent bool // nothing in it can be reported, whatever it holds, unless something around it does without it
	use    use
}

// plans are the steps of every type in the tables, in the order of the type's fields.
var plans = makePlans()

func makePlans() map[reflect.Type][]step {
	made := make(map[reflect.Type][]step, len(tables))
	for t, rows := range tables {
		made[t] = stepsOf(t, rows)
	}
	known := map[reflect.Type]bool{}
	for t := range tables {
		silentType(t, made, known)
	}
	return made
}

// silentType says that nothing of a type can be reported, and marks the steps of which that is true. A type that
// holds itself is not silent.
func silentType(t reflect.Type, made map[reflect.Type][]step, known map[reflect.Type]bool) bool {
	if silent, found := known[t]; found {
		return silent
	}
	known[t] = false
	plan, found := made[t]
	if !found {
		plan = stepsOf(t, nil)
		made[t] = plan
	}
	all := true
	for i := range plan {
		plan[i].silent = silentStep(&plan[i], t.Field(plan[i].index).Type, made, known)
		all = all && plan[i].silent
	}
	known[t] = all
	return all
}

func silentStep(s *step, t reflect.Type, made map[reflect.Type][]step, known map[reflect.Type]bool) bool {
	if s.inline {
		return silentType(t, made, known)
	}
	u := s.use
	if u.when != nil || u.support == missing || len(u.only)+len(u.never)+len(u.without) > 0 {
		return false
	}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return u.support != actedOn || t.Kind() != reflect.Struct || tables[t] == nil || silentType(t, made, known)
}

func planOf(t reflect.Type) []step {
	if p, found := plans[t]; found {
		return p
	}
	return stepsOf(t, nil) // an inlined type without a table of its own
}

func stepsOf(t reflect.Type, rows fields) []step {
	var steps []step
	for i := range t.NumField() {
		name, inline := jsonName(t.Field(i))
		if inline {
			steps = append(steps, step{index: i, inline: true})
		} else if name != "" {
			steps = append(steps, step{index: i, name: name, use: rows[name]})
		}
	}
	return steps
}
