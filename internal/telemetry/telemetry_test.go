package telemetry_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

func TestLevelsAndFormats(t *testing.T) {
	for _, c := range []struct {
		level, format string
		ok            bool
	}{
		{"info", "", true}, {"debug", "json", true}, {"error", "console", true}, {"warn", "", true},
		{"loud", "", false}, {"trace", "", false}, {"disabled", "", false}, {"", "", false}, {"info", "xml", false},
	} {
		_, err := telemetry.NewLogger(&bytes.Buffer{}, "x", c.level, c.format)
		if (err == nil) != c.ok {
			t.Errorf("level %q, format %q: %v", c.level, c.format, err)
		}
	}
}

func TestLogIsJSONOffATerminal(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "thing", "warn", "")
	if err != nil {
		t.Fatal(err)
	}
	log.Info().Msg("hidden")
	log.Warn().Msg("seen")
	if s := out.String(); !strings.Contains(s, `"service":"thing"`) || !strings.Contains(s, `"message":"seen"`) || strings.Contains(s, "hidden") {
		t.Errorf("logged %s", s)
	}
}
