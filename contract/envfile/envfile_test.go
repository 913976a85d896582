package envfile

import (
	"maps"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{"empty", "", nil},
		{"plain", "A=1\nB_2=two\n", map[string]string{"A": "1", "B_2": "two"}},
		{"no last newline", "A=1", map[string]string{"A": "1"}},
		{"comments and blank lines", "# x\n\n  # y=1\nA=1\n", map[string]string{"A": "1"}},
		{"Windows", "\uFEFFA=1\r\nB=\"2\"\r\n", map[string]string{"A": "1", "B": "2"}},
		{"export", "export A=1\n\texport\tB=2\nexport=3", map[string]string{"A": "1", "B": "2", "export": "3"}},
		{"empty value", "A=\nB=\"\"\nC=''\nD= # none", map[string]string{"A": "", "B": "", "C": "", "D": ""}},
		{"spaces", "A=my left rack  \nB= x", map[string]string{"A": "my left rack", "B": "x"}},
		{"quoted spaces", "A=' x '\nB=\" y \"  # z", map[string]string{"A": " x ", "B": " y "}},
		{"equals signs", "A=b=c==", map[string]string{"A": "b=c=="}},
		{"comment after a value", "A=1 # one\nB=1#one\nC='1 # one'", map[string]string{"A": "1", "B": "1#one", "C": "1 # one"}},
		{"single quotes are literal", `A='a"b\n$c'`, map[string]string{"A": `a"b\n$c`}},
		{"double quotes know escapes", `A="a\"b\\c\$d\n"`, map[string]string{"A": `a"b\c$d\n`}},
		{"bare escapes", `A=a\'b\ \#c\d`, map[string]string{"A": `a'b #c\d`}},
		{"parts are joined", `A="a"'b'c`, map[string]string{"A": "abc"}},
		{"nothing is expanded", "A=$HOME/`id`", map[string]string{"A": "$HOME/`id`"}},
		{"the last one counts", "A=1\nA=2", map[string]string{"A": "2"}},
		{"not ASCII", "A=Zürich", map[string]string{"A": "Zürich"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no assignment", "A=1\nhunter2\n", "line 2: it must be NAME=VALUE or a comment"},
		{"command", "hunter2 A=1", "line 1: it must be NAME=VALUE or a comment"},
		{"no name", "=hunter2", "line 1: it must be NAME=VALUE or a comment"},
		{"space before the sign", "A = hunter2", "line 1: it must be NAME=VALUE or a comment"},
		{"name with a digit first", "1A=hunter2", "line 1: it must be NAME=VALUE or a comment"},
		{"open quote", "\n\nA='hunter2", "line 3: a quote is not closed"},
		{"open double quote", `A="hunter2\"`, "line 1: a quote is not closed"},
		{"UTF-16", "A\x00=\x001\x00", "line 1: there is a NUL byte: save the file as UTF-8 text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// FuzzParse: no input panics, names are names, and what was read reads the same when written in quotes.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"A=1", "\uFEFFexport A='x y' # z\r\n", `B="a\"b\$"c\ d`, "A='", "=", "export", "A=\\", "A=\"\\", "#", "A= #", "A\x00=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vars, err := Parse(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error %q is more than one line", err)
			}
			return
		}
		var again strings.Builder
		for name, value := range vars {
			if !isName(name) || strings.ContainsAny(value, "\x00\n") {
				t.Errorf("%q=%q", name, value)
			}
			again.WriteString(name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'\n")
		}
		back, err := Parse([]byte(again.String()))
		if err != nil || !maps.Equal(back, vars) {
			t.Errorf("%q became %q, %v", vars, back, err)
		}
	})
}
