package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func failedOf(t *testing.T, store nodestore.Access) (failed []nodestore.Action) {
	t.Helper()
	for _, a := range actionsOf(t, store) {
		if strings.HasPrefix(a.Outcome, outcomeFailed) {
			failed = append(failed, a)
		}
	}
	return failed
}

// Whoever could not sign in stands in the audit log: from where, and how they tried. What they typed does not.
func TestFailedAttemptsAreInTheAuditLog(t *testing.T) {
	s := withStore(t, realStore(t), func(o *Options) { o.AdminToken = adminToken })
	v := visit(t, s)
	wantStatus(t, v.signIn("wrong-one"), 401)
	v.address = "198.51.100.2:1"
	wantStatus(t, v.do("POST", "/sign-in", map[string][]string{"username": {"hunter2-typed-here"}, "password": {testPassword}}), 401)
	v.address = "198.51.100.3:1"
	v.headers["Authorization"] = basic(testUser, "wrong-two")
	wantStatus(t, v.get("/api/nodes"), 401)
	v.address = "198.51.100.4:1"
	v.headers["Authorization"] = "Bearer wrong-three"
	wantStatus(t, v.get("/api/nodes"), 401)
	delete(v.headers, "Authorization")
	got := ""
	for _, a := range failedOf(t, s.Access) {
		got += fmt.Sprintf("%s by %q via %s from %s: %s %s\n", a.Kind, a.By, a.Via, a.Address, a.Outcome, a.Detail)
	}
	if want := `sign_in by "ADMIN_TOKEN" via token from 198.51.100.4: failed: the token is wrong ` + `
sign_in by "ann" via basic from 198.51.100.3: failed: the user name or the password is wrong ` + `
sign_in by "" via password from 198.51.100.2: failed: the user name or the password is wrong ` + `
sign_in by "ann" via password from 192.0.2.7: failed: the user name or the password is wrong ` + `
`; got != want {
		t.Errorf("recorded:\n%swant:\n%s", got, want)
	}
	v.address = "203.0.113.9:1"
	wantStatus(t, v.signIn(testPassword), 303)
	wantText(t, v.get("/audit?lang=ru"), "198.51.100.3", "не выполнено: Неверное имя пользователя или пароль.", "Неверный токен.")
	for _, typed := range []string{"wrong-one", "hunter2", "wrong-two", "wrong-three"} {
		if strings.Contains(v.get("/audit").Body.String(), typed) {
			t.Errorf("%s is shown", typed)
		}
	}
}

// Nobody can fill the audit log by failing: a day of guessing leaves some hundreds of lines, and they say
// how many there were.
func TestFailedAttemptsDoNotFillTheAuditLog(t *testing.T) {
	now := noon
	s := withStore(t, realStore(t), func(o *Options) {
		o.Now = func() time.Time { return now }
		o.Password = testPassword // a hash takes its time
	})
	failed := 0
	for range 24 * 60 * 2 {
		now = now.Add(30 * time.Second)
		if do(s, "GET", "/api/nodes", "Authorization", basic(testUser, "wrong")).Code == 401 {
			failed++
		}
	}
	all := failedOf(t, s.Access)
	told := len(all)
	for _, a := range all {
		n := 0
		if _, err := fmt.Sscanf(a.Detail, "%d more failed", &n); a.Detail != "" && err != nil {
			t.Errorf("%q", a.Detail)
		}
		told += n
	}
	t.Logf("%d failed attempts in a day: %d lines", failed, len(all))
	if most := attemptsAtOnce + 24*12 + 1; len(all) > most || len(all) < 24*12 || failed != 24*60*2 {
		t.Errorf("%d lines of %d failed attempts, at most %d are meant to be", len(all), failed, most)
	}
	if told < failed-10 || told > failed {
		t.Errorf("the log tells of %d failed attempts, there were %d", told, failed)
	}
}
