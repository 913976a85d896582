package plain_test

import (
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/plain"
)

func TestLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"  a\tb\r\nc  ", "a b  c"}, {"nul\x00 esc\x1b", "nul esc"},
		{"left\u202er\u2028", "leftr"}, {"0123456789", "01234567"},
		{"привет", "прив"}, {"1234567 9", "1234567"},
	} {
		if got := plain.Line(tt.in, 8); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := plain.Line("half \xf0\x9f", 100); got != "half \ufffd\ufffd" {
		t.Errorf("what is not UTF-8 became %q", got)
	}
}
