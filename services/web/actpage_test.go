package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// somebody signs in and does everything that can be done, by hand, at a desk and on a phone.
func TestBrowserActing(t *testing.T) {
	t.Parallel()
	library, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, as := range []struct {
		lang                    string
		width                   int64
		wrong, named, silenced  string
		taken, token, gone, log string
	}{
		{"en", 1280, "The user name or the password is wrong.", "The name is set.", "Silenced until", "Taken care of by ", "It is shown this once.", "The node is deleted.", "ended a silence"},
		{"ru", 390, "Неверное имя пользователя или пароль.", "Имя сохранено.", "Заглушён до", "Занимается ", "Он показан только сейчас.", "Узел удалён.", "конец тишины"},
	} {
		t.Run(as.lang, func(t *testing.T) {
			a := newActed(t, realTime)
			running(t, a.s)
			server := httptest.NewServer(a.s.Handler())
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			b := newBrowser(t)
			says := func(text string) {
				b.t.Helper()
				b.until(fmt.Sprintf(`document.getElementById("main")?.innerText.includes(%q)`, text))
			}
			check := func(where string) {
				for _, f := range b.axe(string(library)) {
					t.Errorf("%s: %s, %s: %s\n  %s", where, f.Impact, f.ID, f.Help, strings.Join(f.Nodes, "\n  "))
				}
				if w := eval[int64](b, `document.documentElement.scrollWidth`); w > as.width {
					t.Errorf("%s is %d wide, the screen %d", where, w, as.width)
				}
			}
			click := func(css string) { b.t.Helper(); b.run(chromedp.Click(chromedp.CSS(css))) }
			form := func(kind string) string { return `form[action$="do/` + kind + `"] ` }

			b.run(size(as.width, 844), chromedp.Navigate(server.URL+"/nodes/rig-1?lang="+as.lang), chromedp.WaitReady(chromedp.CSS("input[name=password]")))
			check("signing in")
			b.run(chromedp.SendKeys(chromedp.CSS("input[name=username]"), testUser), chromedp.SendKeys(chromedp.CSS("input[name=password]"), "wrong\r"))
			says(as.wrong)
			b.clean401()
			b.run(chromedp.SendKeys(chromedp.CSS("input[name=password]"), testPassword+"\r"), chromedp.WaitReady(chromedp.CSS(".acting")))
			check("the page of a node")

			b.run(chromedp.SetValue(chromedp.CSS(form("name")+"input[name=name]"), "Big <rig>"))
			click(form("name") + "button")
			says(as.named)
			b.until(`document.querySelector("h1")?.textContent === "Big <rig>" && !location.search.includes("done")`)

			click(form("acknowledge") + "button")
			says(as.taken)
			b.run(chromedp.SetValue(chromedp.CSS(form("note")+"textarea"), "call Ann & Bob\nbefore a reboot"))
			click(form("note") + "button")
			b.until(`document.querySelector("blockquote.note bdi")?.innerText === "call Ann & Bob\nbefore a reboot"`)
			click(form("silence") + "button")
			says(as.silenced)
			click(form("unsilence") + "button")
			b.until(fmt.Sprintf(`document.querySelector(".now") && !document.querySelector(".now").innerText.includes(%q)`, as.silenced))

			click(form("token") + "button")
			says(as.token)
			b.until(`document.getElementById("token")?.textContent.startsWith("gmt_")`)
			check("a new token")
			b.run(chromedp.Navigate(server.URL+"/tokens"), chromedp.WaitReady(chromedp.CSS(form("revoke"))))
			if eval[bool](b, `document.body.textContent.includes("gmt_")`) {
				t.Error("the token is shown again")
			}
			click(form("revoke") + "button")
			b.until(`document.querySelector(".done") && !document.querySelector('form[action$="do/revoke"]')`)

			a.s.Process([]byte(`{"v":1,"service":"ingest","id":"ingest-7f9c","version":"1.2.3"}`))
			b.run(chromedp.Navigate(server.URL+"/monitor"), chromedp.WaitReady(chromedp.CSS(form("silence"))))
			b.run(chromedp.SetValue(chromedp.CSS(form("silence")+"select[name=scope]"), "label"), chromedp.SetValue(chromedp.CSS(form("silence")+"input[name=value]"), "dc=home"))
			click(form("silence") + "button")
			b.until(fmt.Sprintf(`[...document.querySelectorAll(".quieted")].some(e => e.innerText.includes("dc=home") && e.innerText.includes(%q))`, as.silenced))
			check("the monitor")
			click(form("unsilence") + "button")
			b.until(`document.querySelector(".done") && !document.querySelector(".quieted")`)

			b.run(chromedp.Navigate(server.URL+"/audit"), chromedp.WaitReady(chromedp.CSS("tbody tr")))
			says(as.log)
			check("the audit log")

			b.run(chromedp.Navigate(server.URL+"/nodes/rig-1"), chromedp.WaitReady(chromedp.CSS(form("delete")+"button")))
			click(form("delete") + "button") // nobody said that they are sure
			if eval[bool](b, `Boolean(document.querySelector(".acting"))`); a.node("rig-1") == nil {
				t.Fatal("it was deleted although nobody was sure")
			}
			click(form("delete") + "input[type=checkbox]")
			click(form("delete") + "button")
			says(as.gone)
			b.until(`!document.querySelector('[data-key="rig-1"]')`)
			click(`form[action$="sign-out"] button`)
			b.until(`document.querySelector("input[name=password]")`)
			b.clean()
		})
	}
}

// clean401 forgets the one complaint about a wrong password.
func (b *browser) clean401() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		if !strings.Contains(c, "401") {
			b.t.Errorf("the browser complains: %s", c)
		}
	}
	b.complaints = nil
}

// Who only looks finds no address, and nothing about people, on any page; and is offered nothing to do.
func TestThePublicSeesNoAddressesOnPages(t *testing.T) {
	store := busy()
	n := &store.nodes[3]
	n.Evidence, n.Meta = "dial tcp 203.0.113.99:3000: refused", "at 203.0.113.98"
	store.events = append(store.events, transition(1<<40, n.ID, node.Down)) // its evidence names 10.9.8.7
	store.incidents[0].Evidence = "dial 203.0.113.97"
	store.status.Chats[0].LastError = "dial tcp 203.0.113.96:443: refused"
	s := newService(t, store, realTime, func(o *Options) {
		o.PublicView, o.Username, o.Password = true, "ann", "secret"
	})
	secrets := []string{"203.0.113.", "10.9.8.7", "2001:db8", "Anna", "…10:7", "do/", `href="./tokens"`, `href="./audit"`}
	for _, path := range []string{"/", "/?q=gpu-03", "/nodes/" + url.PathEscape(n.ID), "/nodes/gpu-17-gensyn", "/incidents", "/monitor"} {
		body := do(s, "GET", path).Body.String()
		for _, secret := range secrets {
			if i := strings.Index(body, secret); i >= 0 {
				t.Errorf("%s has %s: …%s…", path, secret, body[max(0, i-80):min(len(body), i+80)])
			}
		}
	}
	if got := ids(do(s, "GET", "/?q=203.0.113").Body.String()); got != "" {
		t.Errorf("addresses can be searched for: %s", got)
	}
	// Who is signed in sees them, although others asked for the same page a moment ago.
	w := do(s, "GET", "/nodes/"+n.ID, "Authorization", basic("ann", "secret"))
	wantStatus(t, w, http.StatusOK)
	wantText(t, w, "203.0.113.99", "203.0.113.98", "Anna", "10.9.8.7")
}

// What somebody does is on all open pages at once, although no event of the stream tells of it.
func TestActingIsToldToOpenPages(t *testing.T) {
	a := newActed(t)
	open, _ := a.s.hub.join("")
	before := a.v.get("/nodes/rig-1").Body.String()
	wantStatus(t, a.form("note", "node_id", "rig-1", "note", "call Ann"), 303)
	if got := taken(open); got != string(resetMessage.data) {
		t.Errorf("an open page is told %q", got)
	}
	if after := a.v.get("/nodes/rig-1"); strings.Contains(before, "call Ann") || !strings.Contains(after.Body.String(), "call Ann") {
		t.Error("the page shows what was before")
	}
	a.form("note", "node_id", "nobody", "note", "x")
	if got := taken(open); got != "" {
		t.Errorf("what failed is told: %q", got)
	}
}
