// Package mask hides secrets in text before it leaves a machine.
package mask

import (
	"regexp"
	"strconv"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "***"

// rule hides what matches, or only its group "secret" where it has one.
type rule struct {
	needs []string // a text without any of these does not match; lower case. Empty: always look
	match *regexp.Regexp
	keep  string // what is written instead
}

// rules go from the particular to the general: what one has hidden the next does not see.
var rules = []rule{
	// A private key on one line, whole or cut.
	{[]string{"private key"}, regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*`), Hidden},
	// JSON Web Tokens, whole or cut.
	{[]string{"eyj"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}`), Hidden},
	// The tokens of Hugging Face, GitHub, OpenAI and the like, Slack, Amazon, Google, Stripe, registries of packages.
	{
		[]string{"hf_", "gh", "sk-", "xox", "akia", "asia", "aiza", "glpat", "k_live_", "k_test_", "npm_", "pypi-", "dckr_pat_"},
		regexp.MustCompile(`\b(?:hf_[A-Za-z0-9]{6,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|sk-[\w-]{12,}|` +
			`xox[abprs]-[\w-]{8,}|A[KS]IA[A-Z0-9]{12,}|AIza[\w-]{24,}|glpat-[\w-]{12,}|[rs]k_(?:live|test)_\w{10,}|` +
			`npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|dckr_pat_[\w-]{8,})`), Hidden,
	},
	// The tokens of Telegram bots, also inside an address.
	{[]string{":"}, regexp.MustCompile(`\d{6,12}:[A-Za-z0-9_-]{30,}`), Hidden},
	// Headers: their whole value, whatever its form. In quotes it ends with them, else with the line.
	{
		[]string{"authorization", "cookie"},
		regexp.MustCompile(`(?i)(\b(?:[\w-]*authorization|(?:set-)?cookie)["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^"'\s].*)`), "${1}" + Hidden,
	},
	// Basic dXNlcg==, Bearer abc.
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b(bearer|basic)(["':=\s]+)[^\s"',;]+`), "${1}${2}" + Hidden},
	// The password of an address, up to the last @ before a slash.
	{[]string{"://"}, regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^\s/]*@`), "${1}" + Hidden + "@"},
	// curl -u name:password.
	{[]string{"-u", "--user"}, regexp.MustCompile(`((?:^|\s)(?:-u|--user)[ =]*)[^\s:]+:\S+`), "${1}" + Hidden},
	// Words with blanks between: without quotes all that follows on the line.
	{
		[]string{"mnemonic", "phrase"},
		regexp.MustCompile(`(?i)((?:mnemonic|(?:seed|recovery|pass)[_ -]?phrase)["']?(?:\s*(?:=>|[=:])\s*|\s+is\s+))("[^"]*"?|'[^']*'?|[^"'\s].*)`), "${1}" + Hidden,
	},
	// name=value, "name": "value", --name value, where the name says that the value is secret.
	{
		[]string{"key", "token", "secret", "pass", "pwd", "credential"},
		regexp.MustCompile(`(?i)((?:^|[^a-z])(?:[\w.-]*(?:api|access|account|private|secret|auth|signing|encryption)[_.-]?key|` +
			`[\w.-]*(?:token|secret|pass(?:w(?:or)?d|code)?|pwd|credentials?)|key)` +
			`["']?(?:\s*(?:=>|[=:])\s*|\s+is\s+))("[^"]*"?|'[^']*'?|\[[^\]]*\]?|[^\s,;&}\])]+)`), "${1}" + Hidden,
	},
	{[]string{"--"}, regexp.MustCompile(`(?i)(--[\w-]*(?:token|secret|password|key))\s+\S+`), "${1} " + Hidden},
	// The key in the address of a node of a blockchain: …/v2/KEY.
	{[]string{"/v"}, regexp.MustCompile(`(/v[1-9]/)[A-Za-z0-9_-]{16,}`), "${1}" + Hidden},
	// E-mail addresses.
	{[]string{"@"}, regexp.MustCompile(`[\pL\pN._%+'-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+`), Hidden},
	// Keys of Ethereum (and its hashes: nobody can tell them apart), seeds, lines of a key in base64. A peer id has at
	// most 60 characters.
	{nil, regexp.MustCompile(`\b(?:0x)?[0-9a-fA-F]{64,}\b`), Hidden},
	{nil, regexp.MustCompile(`[A-Za-z0-9+/]{64,}={0,2}`), Hidden},
}

// maxDisguises is how often one may be wrapped in another: %2520, \\\".
const maxDisguises = 3

// Text hides secrets in one line, also those that an address or a string of JSON disguises: token%3Dabc, \"token\".
// A line that holds such a one is returned undisguised.
func Text(s string) string {
	s = hide(s)
	for plain, n := s, 0; n < maxDisguises; n++ {
		next := undisguise(plain)
		if next == plain {
			break
		}
		plain = next
		if hidden := hide(plain); hidden != plain {
			s, plain = hidden, hidden
		}
	}
	return s
}

func hide(s string) string {
	low := strings.ToLower(s)
	for _, r := range rules {
		if !r.applies(low) {
			continue
		}
		s = r.match.ReplaceAllString(s, r.keep)
	}
	return s
}

// disguise is a printable character of ASCII as addresses (%3D) and strings of JSON (\u003d, \", \/) write it.
var disguise = regexp.MustCompile(`%[2-7][0-9a-fA-F]|\\u00[2-7][0-9a-fA-F]|\\["'/\\]`)

func undisguise(s string) string {
	if !strings.ContainsAny(s, `%\`) {
		return s
	}
	return disguise.ReplaceAllStringFunc(s, func(d string) string {
		if len(d) == 2 {
			return d[1:]
		}
		n, err := strconv.ParseUint(d[len(d)-2:], 16, 8)
		if err != nil || n == 0x7f {
			return d
		}
		return string(rune(n))
	})
}

func (r rule) applies(low string) bool {
	for _, n := range r.needs {
		if strings.Contains(low, n) {
			return true
		}
	}
	return len(r.needs) == 0
}

// Lines hides secrets in lines that follow each other, and so also those that go over several: private keys.
func Lines(lines []string) []string {
	out := make([]string, 0, len(lines))
	inKey := false
	for _, line := range lines {
		switch {
		case inKey:
			inKey = !strings.Contains(line, "-----END")
			continue
		case strings.Contains(line, "-----BEGIN") && strings.Contains(line, "PRIVATE KEY"):
			inKey = !strings.Contains(line, "-----END")
		}
		out = append(out, Text(line))
	}
	return out
}
