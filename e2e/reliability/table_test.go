package reliability

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheTableHasEveryRowInTheOrderOfGroups(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []Row{
		{Group: "Postgres", Fault: "killed", Must: "200 | goes on", Seen: "a\nb", Rounds: 2, Test: "TestB"},
		{Group: "NATS", Fault: "off", Must: "503", Seen: "503 after < 1 s", Rounds: 3, Test: "TestA"},
	} {
		if err := write(sub(t, dir), r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Write(&b, Run{Command: "make reliability", Started: time.Unix(0, 0)}, rows); err != nil {
		t.Fatal(err)
	}
	nats := strings.Index(b.String(), "| off | 503 | 503 after &lt; 1 s | 3 | `TestA` |\n")
	postgres := strings.Index(b.String(), "| killed | 200 \\| goes on | a<br>b | 2 | `TestB` |\n")
	if nats < 0 || postgres < nats {
		t.Errorf("rows at %d and %d of:\n%s", nats, postgres, b.String())
	}
}

func TestATableOfNothingIsRefused(t *testing.T) {
	for name, data := range map[string]string{
		"unknown group": `{"group":"Weather","fault":"f","must":"m","seen":"s","rounds":1,"test":"T"}`,
		"no round":      `{"group":"NATS","fault":"f","must":"m","seen":"s","rounds":0,"test":"T"}`,
		"nothing seen":  `{"group":"NATS","fault":"f","must":"m","rounds":1,"test":"T"}`,
		"not JSON":      `{`,
		"no rows":       "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if data != "" {
				if err := os.WriteFile(filepath.Join(sub(t, dir), "row.json"), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if rows, err := Read(dir); err == nil {
				t.Errorf("accepted: %v", rows)
			}
		})
	}
}

// sub is a folder of one package's rows.
func sub(t *testing.T, dir string) string {
	t.Helper()
	d := filepath.Join(dir, "package")
	if err := os.MkdirAll(d, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}
