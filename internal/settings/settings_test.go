package settings_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

type spec struct {
	Count int    `envconfig:"TEST_COUNT" default:"7" allowed:"a whole number"`
	Name  string `envconfig:"TEST_NAME"`
}

// Check implements the further check.
func (s *spec) Check() error {
	if s.Count < 0 {
		return settings.Invalid("TEST_COUNT", s.Count, "positive")
	}
	return nil
}

type withSecret struct {
	Embeddable
	Count int `envconfig:"TEST_COUNT" default:"7" allowed:"a whole number"`
}

// Embeddable is a part of several configurations.
type Embeddable struct {
	Token settings.Secret `envconfig:"TEST_TOKEN"`
}

func TestDefaultsAndValues(t *testing.T) {
	t.Setenv("TEST_NAME", "anna")
	var s spec
	if err := settings.Load(&s); err != nil || s.Count != 7 || s.Name != "anna" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Setenv("TEST_COUNT", "")
	var s spec
	if err := settings.Load(&s); err != nil || s.Count != 7 {
		t.Errorf("%+v, %v: want the default", s, err)
	}
}

func TestARequiredVariableIsNamedWithItsMeaning(t *testing.T) {
	t.Setenv("TEST_URL", "")
	var s struct {
		URL string `envconfig:"TEST_URL" required:"true" desc:"where it is"`
	}
	if err := settings.Load(&s); err == nil || err.Error() != "TEST_URL is not set: where it is" {
		t.Errorf("%v", err)
	}
}

func TestABadValueIsOneLineWithNameValueAndWhatIsAllowed(t *testing.T) {
	t.Setenv("TEST_COUNT", "many")
	var s spec
	err := settings.Load(&s)
	if want := "TEST_COUNT=many is not allowed: it must be a whole number"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	t.Setenv("TEST_COUNT", "-1")
	if err := settings.Load(&s); err == nil || err.Error() != "TEST_COUNT=-1 is not allowed: it must be positive" {
		t.Errorf("Check was not asked: %v", err)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hush\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_TOKEN_FILE", path)
	t.Setenv("TEST_TOKEN", "")
	var s withSecret
	if err := settings.Load(&s); err != nil || s.Token.Reveal() != "hush" {
		t.Errorf("%q, %v", s.Token.Reveal(), err)
	}
}

// One folder holds what is secret, so that what is optional needs no variable that names a file which may be missing.
func TestSecretsComeFromAFolder(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(settings.Folder, folder)
	put := func(name, value string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (withSecret, error) {
		var s withSecret
		return s, settings.Load(&s)
	}
	t.Setenv("TEST_TOKEN", "") // puts back what was there
	t.Setenv("TEST_COUNT", "3")
	if s, err := load(); err != nil || s.Token != "" || s.Count != 3 {
		t.Errorf("an empty folder: %+v, %v", s, err)
	}
	put("TEST_TOKEN", "")
	if s, err := load(); err != nil || s.Token != "" {
		t.Errorf("an empty file: %+v, %v", s, err)
	}
	put("TEST_TOKEN", "hush\n")
	for range 2 { // two parts of a program read the same variable
		if s, err := load(); err != nil || s.Token.Reveal() != "hush" {
			t.Errorf("a file: %q, %v", s.Token.Reveal(), err)
		}
	}
	t.Setenv("TEST_TOKEN", "louder")
	if _, err := load(); err == nil || err.Error() != "TEST_TOKEN is set, and SECRETS_DIR has a file of that name: keep one" {
		t.Errorf("both: %v", err)
	}
	t.Setenv("TEST_TOKEN", "")
	t.Setenv("TEST_TOKEN_FILE", filepath.Join(folder, "other"))
	put("other", "by path")
	if s, err := load(); err != nil || s.Token.Reveal() != "by path" {
		t.Errorf("a path of its own: %q, %v", s.Token.Reveal(), err)
	}
}

func TestBothOrNoFileIsRefused(t *testing.T) {
	t.Setenv("TEST_TOKEN_FILE", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("TEST_TOKEN", "hush")
	var s withSecret
	if err := settings.Load(&s); err == nil || !strings.Contains(err.Error(), "keep one") || strings.Contains(err.Error(), "hush") {
		t.Errorf("both: %v", err)
	}
	t.Setenv("TEST_TOKEN", "")
	if err := settings.Load(&s); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "TEST_TOKEN_FILE") {
		t.Errorf("no file: %v", err)
	}
}

func TestASecretNeverShowsItself(t *testing.T) {
	v := struct{ S settings.Secret }{"hush"}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v.S, v.S), string(data),
		settings.Invalid("TEST_TOKEN", v.S, "another").Error(),
	} {
		if strings.Contains(text, "hush") {
			t.Errorf("the secret shows in %q", text)
		}
	}
	if settings.Secret("").String() != "" {
		t.Error("an empty secret must be told from a set one")
	}
}
