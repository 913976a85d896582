package notifier

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

func waitingAlerts(n int) []nodestore.Alert {
	out := make([]nodestore.Alert, n)
	for i := range out {
		out[i] = nodestore.Alert{ID: fmt.Sprint(i), ReplyTo: int64(100 + i)}
		out[i].Found = noon.Add(time.Duration(i) * time.Second)
	}
	return out
}

func TestCompose(t *testing.T) {
	for name, tt := range map[string]struct {
		alerts, units int // of each alert's text
		want          int // alerts in the message
		reply         int64
	}{
		"one":               {1, 100, 1, 100},
		"two":               {2, 100, 2, 0},
		"twenty":            {20, 100, 20, 0},
		"no more than 20":   {30, 10, 20, 0},
		"exactly full":      {4, 1022, 4, 0}, // 4·1022 + 3·2 = 4094
		"one unit too many": {4, 1023, 3, 0}, // 4·1023 + 3·2 = 4098
		"the first always":  {3, 4000, 1, 100},
	} {
		t.Run(name, func(t *testing.T) {
			text := "<b>&amp;</b>" + strings.Repeat("x", tt.units-1)
			d := compose(waitingAlerts(tt.alerts), func(nodestore.Alert) string { return text })
			if len(d.alerts) != tt.want || d.replyTo != tt.reply {
				t.Errorf("%d alerts, reply to %d; want %d and %d", len(d.alerts), d.replyTo, tt.want, tt.reply)
			}
			if n := telegram.Units(telegram.PlainText(d.text)); n > telegram.MaxUnits {
				t.Errorf("%d units", n)
			}
			if parts := strings.Split(d.text, "\n\n"); len(parts) != tt.want || parts[0] != text {
				t.Errorf("%d parts, or not as rendered", len(parts))
			}
			if !d.oldest.Equal(noon) {
				t.Errorf("oldest %v", d.oldest)
			}
		})
	}
}

// The longest texts the wire allows, in characters of two units each, still fit one message.
func TestTheLongestAlertFits(t *testing.T) {
	for _, l := range []Language{English, Russian} {
		r := rendererFor(t, l)
		r.publicURL = "https://" + strings.Repeat("a", 200)
		for name, a := range messages() {
			long := strings.Repeat("😀", 4000)
			a.NodeID, a.Name, a.IP, a.Evidence, a.By = long, long, long, long, long
			if a.Reason != "" {
				a.Reason = long
			}
			if n := telegram.Units(telegram.PlainText(r.render(a))); n > telegram.MaxUnits {
				t.Errorf("%s in %s: %d units", name, l, n)
			}
		}
	}
}
