package telegram

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Every fault that there is has words in both languages, which take the same values in the same order.
func TestEveryFaultHasWordsInBothLanguages(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "words.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var faults []Fault
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Fault" {
			value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			faults = append(faults, Fault(value))
		}
		return true
	})
	if len(faults) < 30 || len(english) != len(faults) || len(russian) != len(faults) {
		t.Fatalf("%d faults, %d in English, %d in Russian", len(faults), len(english), len(russian))
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for _, f := range faults {
		en, ru := verbs.FindAllString(english[f], -1), verbs.FindAllString(russian[f], -1)
		if !slices.Equal(en, ru) || english[f] == "" || russian[f] == "" {
			t.Errorf("%s: %q and %q", f, english[f], russian[f])
		}
	}
}

func TestAnErrorSpeaksBothLanguages(t *testing.T) {
	e := refusal(Kicked, "-5:7", kickedText)
	if want := `chat -5:7: Telegram says "` + kickedText + `": add the bot to the chat again`; e.In("en") != want || e.Error() != want {
		t.Errorf("%s", e.In("en"))
	}
	if want := `чат -5:7: Telegram отвечает "` + kickedText + `": добавьте бота в чат снова`; e.In("ru") != want {
		t.Errorf("%s", e.In("ru"))
	}
	// One that somebody made of words alone says them in every language.
	if e := (&Error{Words: "x"}); e.In("ru") != "x" {
		t.Errorf("%s", e.In("ru"))
	}
	if got := fmt.Sprint(fault(TooMany, 35*time.Second).In("ru")); got != "Telegram просит подождать 35s: слишком много сообщений" {
		t.Error(got)
	}
}

const kickedText = "Forbidden: bot was kicked from the supergroup chat"
