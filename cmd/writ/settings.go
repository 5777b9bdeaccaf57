package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// configFile holds flags of a node by name: `repo: https://...`.
const configFile = "/etc/writ/writ.yaml"

// fillFlags gives every flag that is not on the command line its value from WRIT_<FLAG> or, failing
// that, from the configuration file.
func fillFlags(flags *pflag.FlagSet, env func(string) (string, bool), file string) error {
	configured, err := readConfig(file)
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		name := "WRIT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v, ok := env(name); ok {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
			}
			return
		}
		if v, ok := configured[f.Name]; ok {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", file, f.Name, err))
			}
		}
	})
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// setting is a value as a flag takes it; a list is for flags that may be given again.
func setting(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = setting(v[i])
		}
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(v)
}

func readConfig(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var values map[string]any
	asWritten := func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d } // 4194304, never 4.194304e+06
	if err := yaml.UnmarshalStrict(data, &values, asWritten); err != nil {
		return nil, usageError{fmt.Errorf("read configuration %s: %w", file, err)}
	}
	known := upFlagNames()
	texts := make(map[string]string, len(values))
	for name, v := range values {
		if !known[name] {
			return nil, usageError{fmt.Errorf("read configuration %s: there is no setting %q", file, name)}
		}
		texts[name] = setting(v)
	}
	return texts, nil
}
