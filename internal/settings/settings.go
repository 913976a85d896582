// Package settings reads a program's configuration from the environment. Only mains call it.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Secret is a value that never shows itself: formatted, logged or marshalled it is "***", or "" when empty.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// Folder is the variable that names the folder of values: a mounted Kubernetes Secret, systemd's credentials, or the
// secrets that an init step wrote.
const Folder = "SECRETS_DIR"

// checker is a configuration that can say what is wrong with it beyond the types of its fields.
type checker interface{ Check() error }

// Load fills spec, a pointer to a struct with envconfig tags, from the environment. Every variable NAME can be given
// as NAME_FILE instead, a path to a file with the value; a trailing newline of it is dropped. All values that are
// files may also lie in one folder, SECRETS_DIR, each in a file called NAME. An empty variable is one that is not set,
// and so is an empty file of that folder. The error is one line
// that names the variable, its value unless it is a secret, and what is allowed (the tag `allowed`).
func Load(spec any) error {
	if err := prepare(reflect.TypeOf(spec).Elem()); err != nil {
		return err
	}
	if err := envconfig.Process("", spec); err != nil {
		return explain(spec, err)
	}
	if c, ok := spec.(checker); ok {
		return c.Check()
	}
	return nil
}

// Invalid is the error for a value that is not allowed.
func Invalid(name string, value any, allowed string) error {
	return fmt.Errorf("%s=%v is not allowed: it must be %s", name, value, allowed)
}

// prepare puts into the environment what envconfig, which reads nothing else, should find there.
func prepare(t reflect.Type) error {
	for f := range fields(t) {
		name := f.Tag.Get("envconfig")
		if name == "" {
			continue
		}
		value, err := lookUp(name)
		if err != nil {
			return err
		}
		if value == "" && f.Tag.Get("required") != "" {
			return fmt.Errorf("%s is not set: %s", name, f.Tag.Get("desc"))
		}
		if err := set(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// lookUp finds the value of a variable, or of the file that its NAME_FILE names.
func lookUp(name string) (string, error) {
	value, path := os.Getenv(name), os.Getenv(name+"_FILE")
	if strings.HasSuffix(name, "_FILE") {
		return value, nil
	}
	if path == "" {
		return inFolder(os.Getenv(Folder), name, value)
	}
	if value != "" {
		return "", fmt.Errorf("%s and %s_FILE are both set: keep one", name, name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	value = strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s_FILE: %s is empty", name, path)
	}
	return value, nil
}

// inFolder finds the value in the file of that name, if there is one; else it is the variable's.
func inFolder(folder, name, value string) (string, error) {
	if folder == "" {
		return value, nil
	}
	data, err := os.ReadFile(filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return value, nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", Folder, err)
	}
	found := strings.TrimRight(string(data), "\r\n")
	// What an earlier part of the program found there is in the environment by now.
	if found != "" && value != "" && found != value {
		return "", fmt.Errorf("%s is set, and %s has a file of that name: keep one", name, Folder)
	}
	return cmp.Or(found, value), nil
}

// set also takes the file's variable away, so that a second part of the program finds the value as this one did.
func set(name, value string) error {
	if value == "" {
		return os.Unsetenv(name)
	}
	if !strings.HasSuffix(name, "_FILE") {
		if err := os.Unsetenv(name + "_FILE"); err != nil {
			return err
		}
	}
	return os.Setenv(name, value)
}

// fields yields the fields of a struct and of the structs embedded in it.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct {
				for g := range fields(f.Type) {
					if !yield(g) {
						return
					}
				}
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

func explain(spec any, err error) error {
	var pe *envconfig.ParseError
	if !errors.As(err, &pe) {
		return err
	}
	for f := range fields(reflect.TypeOf(spec).Elem()) {
		if f.Name != pe.FieldName {
			continue
		}
		value := pe.Value
		if f.Type == reflect.TypeFor[Secret]() {
			value = Secret(value).String()
		}
		if allowed := f.Tag.Get("allowed"); allowed != "" {
			return Invalid(pe.KeyName, value, allowed)
		}
		return Invalid(pe.KeyName, value, "of type "+pe.TypeName)
	}
	return err
}
