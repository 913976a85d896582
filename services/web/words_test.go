package web

import (
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

func TestNoWordIsMissing(t *testing.T) {
	for _, w := range []*words{&english, &russian} {
		noZero(t, w.Lang, reflect.ValueOf(*w))
		for _, s := range states {
			if w.States[s] == "" {
				t.Errorf("%s: no word for %s", w.Lang, s)
			}
		}
		for _, why := range whys {
			if w.Whys[why] == "" {
				t.Errorf("%s: no word for %s", w.Lang, why)
			}
		}
		if len(w.Orders) != len(orders) || len(w.Node.Windows) != 4 {
			t.Errorf("%s: %v %v", w.Lang, w.Orders, w.Node.Windows)
		}
	}
}

func noZero(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		field := name + "." + v.Type().Field(i).Name
		switch {
		case v.Field(i).IsZero():
			t.Errorf("%s is empty", field)
		case v.Field(i).Kind() == reflect.Struct:
			noZero(t, field, v.Field(i))
		}
	}
}

func TestSpans(t *testing.T) {
	for _, tt := range []struct {
		d                        time.Duration
		en, ru, enShort, ruShort string
	}{
		{-time.Second, "0 seconds", "0 секунд", "0 s", "0 с"},
		{time.Second, "1 second", "1 секунду", "1 s", "1 с"},
		{2500 * time.Millisecond, "2 seconds", "2 секунды", "2 s", "2 с"},
		{11 * time.Second, "11 seconds", "11 секунд", "11 s", "11 с"},
		{21 * time.Second, "21 seconds", "21 секунду", "21 s", "21 с"},
		{time.Minute, "1 minute", "1 минуту", "1 min", "1 мин"},
		{3*time.Minute + 5*time.Second, "3 minutes", "3 минуты", "3 min 5 s", "3 мин 5 с"},
		{14 * time.Minute, "14 minutes", "14 минут", "14 min", "14 мин"},
		{time.Hour, "1 hour", "1 час", "1 h", "1 ч"},
		{5*time.Hour + 59*time.Minute + 59*time.Second, "5 hours", "5 часов", "5 h 59 min", "5 ч 59 мин"},
		{24 * time.Hour, "1 day", "1 день", "1 d", "1 д"},
		{52 * time.Hour, "2 days", "2 дня", "2 d 4 h", "2 д 4 ч"},
		{112 * 24 * time.Hour, "112 days", "112 дней", "112 d", "112 д"},
	} {
		got := []string{english.span(tt.d), russian.span(tt.d), english.short(tt.d), russian.short(tt.d)}
		if want := []string{tt.en, tt.ru, tt.enShort, tt.ruShort}; !slices.Equal(got, want) {
			t.Errorf("%v: got %q, want %q", tt.d, got, want)
		}
	}
}

func TestReasonsInWords(t *testing.T) {
	for _, tt := range []struct{ code, en, ru string }{
		{"port_closed_3000", "port 3000 is closed", "порт 3000 закрыт"},
		{"port_closed_99999", "", ""},
		{"port_closed_3000x", "", ""},
		{"port_closed_", "", ""},
		{"port_closed", "the port is closed", "порт закрыт"},
		{"silent", "nothing is heard from it", "от него ничего не слышно"},
		{"<b>", "", ""},
		{"", "", ""},
	} {
		if en, ru := english.reason(tt.code), russian.reason(tt.code); en != tt.en || ru != tt.ru {
			t.Errorf("%s: %q %q", tt.code, en, ru)
		}
	}
}

func TestSummaries(t *testing.T) {
	counts := map[node.State]int{node.Up: 27, node.Down: 1, node.Lost: 2}
	for w, want := range map[*words]string{
		&english: "Nodes: 2 lost, 1 down, 27 up",
		&russian: "Узлы: нет связи — 2, не работают — 1, работают — 27",
	} {
		if got := w.summary(counts); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for n, want := range map[int64][2]string{0: {"0", "0"}, 999: {"999", "999"}, 39512: {"39,512", "39\u00a0512"}, -1234567: {"-1,234,567", "-1\u00a0234\u00a0567"}} {
		if got := [2]string{english.number(n), russian.number(n)}; got != want {
			t.Errorf("%d: got %q", n, got)
		}
	}
	if en, ru := english.percent(99.25, 1), russian.percent(99.25, 1); en != "99.2%" || ru != "99,2\u00a0%" {
		t.Errorf("got %s, %s", en, ru)
	}
}

// Text and what it stands on must differ by 4.5 : 1 in both themes (WCAG 2.2, AA).
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("static/page.css")
	if err != nil {
		t.Fatal(err)
	}
	themes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllSubmatch(css, -1)
	if len(themes) != 2 {
		t.Fatalf("%d themes", len(themes))
	}
	pairs := [][2]string{
		{"ink", "page"}, {"ink", "card"}, {"ink", "hover"}, {"muted", "page"}, {"muted", "card"}, {"muted", "hover"},
		{"link", "page"}, {"link", "card"}, {"up", "up-soft"}, {"degraded", "degraded-soft"}, {"down", "down-soft"},
		{"degraded", "hover"}, {"up", "card"}, {"degraded", "card"}, {"down", "card"},
	}
	for i, theme := range themes {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllSubmatch(theme[1], -1) {
			colour[string(m[1])] = luminance(t, string(m[2]))
		}
		for _, p := range pairs {
			a, b := colour[p[0]], colour[p[1]]
			if a == 0 || b == 0 {
				t.Fatalf("theme %d: no colour %v", i, p)
			}
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("theme %d: %s on %s has %.2f : 1", i, p[0], p[1], ratio)
			}
		}
	}
}

// luminance is the relative luminance of WCAG.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
