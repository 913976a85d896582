package agent

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestStateDir takes the first directory that can be written to, and says in words why there is none.
func TestStateDir(t *testing.T) {
	good := filepath.Join(t.TempDir(), "new", "dir")
	bad := "/dev/null/dir"
	for _, tt := range []struct {
		dirs             []string
		configured, want string
		err              string
	}{
		{[]string{bad, good}, "", good, ""},
		{[]string{bad}, good, good, ""},
		{[]string{good}, bad, "", "/dev/null"},
		{nil, "", "", "HOME is not set"},
	} {
		got, err := Machine{StateDirs: tt.dirs}.stateDir(tt.configured)
		if got != tt.want || (err == nil) != (tt.err == "") {
			t.Errorf("%q, %q: %q, %v", tt.dirs, tt.configured, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "%!")) {
			t.Errorf("%q, %q: %v, want %q", tt.dirs, tt.configured, err, tt.err)
		}
	}
	if got := StateDirs("linux", false, func(string) string { return "" }); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
