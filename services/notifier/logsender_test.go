package notifier_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
)

// Without Telegram the log is where people are told: no level may keep it from them.
func TestTheLogTellsAtEveryLevel(t *testing.T) {
	var out bytes.Buffer
	s := notifier.NewLogSender(zerolog.New(&out).Level(zerolog.ErrorLevel))
	if _, err := s.Send(t.Context(), notifier.LogChat, "<b>DOWN</b> a &lt;b&gt;", 0); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `DOWN a <b>`) {
		t.Errorf("logged %q", out.String())
	}
}
