package telegram

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxUnits is how long a message may be, in UTF-16 code units after its HTML was parsed.
const MaxUnits = 4096

var (
	escaper   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	unescaper = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`)
)

// Escape makes any text safe between tags and in attributes.
func Escape(text string) string { return escaper.Replace(text) }

// PlainText is the text of an HTML message that was built with Escape: without tags, entities resolved.
func PlainText(html string) string {
	var b strings.Builder
	for {
		before, rest, tag := strings.Cut(html, "<")
		b.WriteString(before)
		if !tag {
			return unescaper.Replace(b.String())
		}
		_, html, _ = strings.Cut(rest, ">")
	}
}

// Units is the length of a text without markup, as Telegram counts it.
func Units(text string) int {
	n := 0
	for _, r := range text {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// clip cuts a text to at most the given length.
func clip(text string, units int) string {
	if Units(text) <= units {
		return text
	}
	units-- // for the mark
	for i, r := range text {
		units -= max(utf16.RuneLen(r), 1)
		if units < 0 {
			return strings.TrimRight(text[:i], " \n") + "…"
		}
	}
	return strings.ToValidUTF8(text, string(utf8.RuneError))
}
