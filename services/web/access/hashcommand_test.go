package access

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// hashed runs the command with an input that is no terminal.
func hashed(t *testing.T, input string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = io.WriteString(w, input)
		_ = w.Close()
	}()
	var out bytes.Buffer
	err = HashCommand(r, io.Discard).Run(t.Context(), &out)
	return out.String(), err
}

func TestAHashLetsItsPasswordInAndNoOther(t *testing.T) {
	for input, password := range map[string]string{
		"correct horse\n": "correct horse", "correct horse\r\n": "correct horse", "correct horse": "correct horse",
		" spaces too \n": " spaces too ", "пароль12\nsecond line\n": "пароль12",
	} {
		out, err := hashed(t, input)
		if err != nil {
			t.Errorf("%q: %v", input, err)
			continue
		}
		hash := strings.TrimSuffix(out, "\n")
		p, err := ParsePassword(settings.Secret(hash))
		if err != nil || strings.Count(out, "\n") != 1 {
			t.Fatalf("%q: %v", out, err)
		}
		if !p.Matches(password) || p.Matches(password+" ") || p.Matches(strings.ToUpper(password)) || p.Matches(hash) {
			t.Errorf("%q: the hash is not that of %q", input, password)
		}
		if again, _ := hashed(t, input); again == out {
			t.Error("twice the same hash: the salt is no salt")
		}
	}
	for _, bad := range []string{"", "\n", "seven77\n", "\xff\xfe not UTF-8\n", strings.Repeat("x", maxTyped+1) + "\n"} {
		if out, err := hashed(t, bad); err == nil || out != "" || bad != "" && bad != "\n" && strings.Contains(err.Error(), strings.TrimSpace(bad)) {
			t.Errorf("%.20q: %q, %v", bad, out, err)
		}
	}
}
