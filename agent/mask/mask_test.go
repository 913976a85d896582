package mask_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/mask"
)

// Texts as programs write them. Nothing here is a real secret.
func TestText(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	tests := []struct{ in, want string }{
		{"login with hf_AbCdEfGhIjKlMnOpQrStUvWx", "login with ***"},
		{"HF_TOKEN=hf_AbCdEfGh ok", "HF_TOKEN=*** ok"},
		{"Authorization: Bearer abc.def-123", "Authorization: ***"},
		{`{"Authorization": "Bearer abc"}`, `{"Authorization": ***}`},
		{"sent bearer  s3cr3t to x", "sent bearer  *** to x"},
		{"Basic dXNlcjpwYXNz", "Basic ***"},
		{"api_key=12345, other=1", "api_key=***, other=1"},
		{"apiKey: 'a b c' next", "apiKey: *** next"},
		{`{"private_key": "0xabc", "n": 1}`, `{"private_key": ***, "n": 1}`},
		{"GET /x?key=AbC123&n=2", "GET /x?key=***&n=2"},
		{"password is hunter2", "password is ***"},
		{"WANDB_API_KEY=0123", "WANDB_API_KEY=***"},
		{"--hf-token abc --round 3", "--hf-token *** --round 3"},
		{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "***!"},
		{"mail someone.else+x@example.co.uk now", "mail *** now"},
		{"почта имя@пример.рф", "почта ***"},
		{"https://user:pa55@example.org/x", "https://***@example.org/x"},
		{"https://g.example.com/v2/AbCdEfGhIjKlMnOpQrStUvWxYz012345", "https://g.example.com/v2/***"},
		{"https://api.telegram.org/bot123456789:" + strings.Repeat("A", 35) + "/getMe", "https://api.telegram.org/bot***/getMe"},
		{"0x" + hex, "***"},
		{"key " + hex + "!", "key ***!"},
		{"-----BEGIN RSA PRIVATE KEY-----MIIE", "***"},
		{"ghp_0123456789abcdefghij and sk-0123456789abcdef", "*** and ***"},

		// All of a value, whatever its form.
		{"Proxy-Authorization: Digest username=\"bob\", response=\"abc\"", "Proxy-Authorization: ***"},
		{"> Authorization: Token 0123456abc", "> Authorization: ***"},
		{"Set-Cookie: sid=abc; Path=/", "Set-Cookie: ***"},
		{"mnemonic: abandon ability able about", "mnemonic: ***"},
		{`{"seed_phrase": "abandon ability able", "n": 1}`, `{"seed_phrase": ***, "n": 1}`},
		{`"token": ["abc", "def"], "n": 1`, `"token": ***, "n": 1`},
		{"HF_TOKEN => abc", "HF_TOKEN => ***"},
		{"DB_PASS=foo AccountKey=bar", "DB_PASS=*** AccountKey=***"},
		{"https://user:p@ss@example.org/x", "https://***@example.org/x"},
		{"curl -u bob:hunter2 https://x", "curl -u *** https://x"},
		{"sk_live_abcdefghijklmnop npm_abcdefghijklmnopqrst", "*** ***"},

		// Disguised: in addresses and in JSON within JSON, also twice.
		{"GET /cb?access_token%3Dabcdef123%26x%3D1 done", "GET /cb?access_token=***&x=1 done"},
		{"mail user%40example.com", "mail ***"},
		{`mail user\u0040example.com`, "mail ***"},
		{"bot123456789%3A" + strings.Repeat("A", 35), "bot***"},
		{"url%3DeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc", "url%3D***"},
		{"token%253Dabc", "token=***"},
		{`{\"token\":\"abcdef123\",\"n\":1}`, `{"token":***,"n":1}`},
		{`{\\\"token\\\":\\\"abcdef123\\\"}`, `{"token":***}`},
		{"%2D%2D%2D%2D%2DBEGIN%20PRIVATE%20KEY%2D%2D%2D%2D%2DMIIEvQ", "***"},

		// Nothing secret: it stays.
		{"100%, 50%20 of C:\\users \\\"quoted\\\" \\u00zz", "100%, 50%20 of C:\\users \\\"quoted\\\" \\u00zz"},
		{"pass 3 of 5, bypassed: 2", "pass 3 of 5, bypassed: 2"},
		{"Joining round: 39512", "Joining round: 39512"},
		{"Hello [jagged spotted mandrill] [QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc]!", "Hello [jagged spotted mandrill] [QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc]!"},
		{"[2025-08-31 17:07:54,997][genrl.x][ERROR] - KeyError: 'round'", "[2025-08-31 17:07:54,997][genrl.x][ERROR] - KeyError: 'round'"},
		{"tokenizer loaded, 32 tokens", "tokenizer loaded, 32 tokens"},
		{"monkey: banana", "monkey: banana"},
		{"/root/rl-swarm/swarm.pem", "/root/rl-swarm/swarm.pem"},
		{"0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da0", "0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da0"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := mask.Text(tt.in); got != tt.want {
			t.Errorf("%q\nbecame %q\nwant   %q", tt.in, got, tt.want)
		}
	}
}

func TestLinesOfAKey(t *testing.T) {
	in := []string{
		"before", "-----BEGIN PRIVATE KEY-----", "MIIEvQ", "AbC=", "-----END PRIVATE KEY-----", "after",
		"x -----BEGIN EC PRIVATE KEY-----", "MHcC",
	}
	want := []string{"before", "***", "after", "x ***"}
	if got := mask.Lines(in); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzText: whatever is around it, a token does not get out, and what is hidden stays so.
func FuzzText(f *testing.F) {
	f.Add("login ", " ok")
	f.Add("key=", "")
	f.Add("://", "@x.y")
	f.Add("\"token\": \"", "\"}")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "QwErTy0123456789QwErTy"
		for _, line := range []string{
			before + " hf_" + secret + " " + after,
			before + " Bearer " + secret + " " + after,
			before + "\napi_key=" + secret + " " + after,
			before + " me." + secret + "@example.org " + after,
			before + "?token%3d" + secret + "&" + after,
			before + `\"token\":\"` + secret + `\"` + after,
		} {
			masked := mask.Text(line)
			if strings.Contains(masked, secret) {
				t.Errorf("%q became %q", line, masked)
			}
			if again := mask.Text(masked); strings.Count(again, mask.Hidden) == 0 {
				t.Errorf("%q became %q", masked, again)
			}
		}
	})
}
