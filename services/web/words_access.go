package web

import (
	"cmp"
	"net/http"
	"strings"
)

// accessWords are the texts of signing in and acting in one language.
type accessWords struct {
	SignIn, SignOut, SignInOIDC    string
	Username, Password             string
	WrongPassword, TooMany         string
	NoDatabase, NoProvider, Denied string
	TryAgain                       string

	Audit, When, Who, What, Node, Outcome, Older, NoActions string
	Tokens, NewToken, ShownOnce, TokenLater, MakeToken      string
	ForNode, AnyNode, Note, Made, State, Revoke, Revoked    string
	NoTokens, NotDone, Back                                 string

	TokensShort, AuditShort                             string // in the navigation
	Acting, SilenceIt, ForHowLong, Why, NameIt, Name    string
	OwnThreshold, Seconds, Save, NoteText, TokenHow     string
	DeleteIt, DeleteHow, Sure, AuditOfNode, Acknowledge string
	Silenced, EndSilence                                string
	SilenceMany, OfWhich, OfAll, OfLabel, Label         string
	Spans                                               []string // as silenceSpans

	Kinds    map[string]string // of actions
	Done     map[string]string // after an action, by its kind; "later" when it is not carried out yet
	Accepted string            // the outcome
	Failed   string            // the outcome; why follows
	Unknown  string            // an outcome that is not known
	Problems map[string]string // what programs are told in English, for people
}

func accessWordsFor(r *http.Request) *accessWords {
	if language(r).Lang == russian.Lang {
		return &accessRussian
	}
	return &accessEnglish
}

// kind is an action in words. One that only a newer program knows is its own word.
func (a *accessWords) kind(kind string) string { return cmp.Or(a.Kinds[kind], kind) }

// outcome is what became of an action, in words.
func (a *accessWords) outcome(outcome string) string {
	switch outcome {
	case "":
		return a.Unknown
	case outcomeDone:
		return "✓"
	case outcomeAccepted:
		return a.Accepted
	}
	if why, failed := strings.CutPrefix(outcome, outcomeFailed); failed {
		return a.Failed + ": " + a.problem(why)
	}
	return outcome
}

// problem is a reason in words, or as it is.
func (a *accessWords) problem(text string) string { return cmp.Or(a.Problems[text], text) }

var accessEnglish = accessWords{
	SignIn: "Sign in", SignOut: "Sign out", SignInOIDC: "Sign in with the team's account",
	Username: "User name", Password: "Password",
	WrongPassword: "The user name or the password is wrong.",
	TooMany:       "Too many failed attempts. Try again in a minute.",
	NoDatabase:    "The database does not answer. Try again in a moment.",
	NoProvider:    "The sign-in provider does not answer. Try again in a moment.",
	Denied:        "This account may not sign in here.",
	TryAgain:      "Signing in took too long, or was begun in another window. Try again.",

	Audit: "Audit log", When: "When", Who: "Who", What: "What", Node: "Node", Outcome: "Outcome", Older: "Older", NoActions: "Nobody has done anything yet.",
	Tokens: "Tokens of agents", NewToken: "The new token", MakeToken: "Make a token",
	ShownOnce:  "It is shown this once. Copy it now: what is kept here is only its hash.",
	TokenLater: "NATS does not answer. The token works as soon as it does.",
	ForNode:    "Only for the node", AnyNode: "any node", Note: "Note", Made: "Made", State: "State", Revoke: "Revoke", Revoked: "revoked",
	NoTokens: "There are none: agents use SHARED_SECRET.", NotDone: "Not done", Back: "Back",

	TokensShort: "Tokens", AuditShort: "Audit",
	Acting: "Act", SilenceIt: "Silence alerts", ForHowLong: "For how long", Why: "Why", NameIt: "Display name", Name: "Name; empty removes it",
	OwnThreshold: "Threshold of its own", Seconds: "Seconds of silence after which it is lost; 0 for the default", Save: "Save",
	NoteText: "For the team; empty removes it",
	TokenHow: "Lets an agent report this node and no other. It is shown once, with the line that installs the agent.",
	DeleteIt: "Delete the node", DeleteHow: "It comes back if it reports again; its past stays.", Sure: "Yes, delete it",
	AuditOfNode: "What was done to this node", Acknowledge: "I take care of it", Silenced: "Silenced until", EndSilence: "End the silence",
	SilenceMany: "Silence many nodes", OfWhich: "Which nodes", OfAll: "all of them", OfLabel: "those with a label", Label: "Label, as it stands in Meta",
	Spans: []string{"1 hour", "4 hours", "12 hours", "1 day", "7 days"},

	Kinds: map[string]string{
		"sign_in": "signed in", "sign_out": "signed out", "delete": "deleted", "name": "named", "threshold": "set the threshold",
		"silence": "silenced", "unsilence": "ended a silence", "acknowledge": "acknowledged", "note": "wrote a note",
		"token": "made a token", "revoke": "revoked a token",
	},
	Done: map[string]string{
		"delete": "The node is deleted.", "name": "The name is set.", "threshold": "The threshold is set.",
		"silence": "Alerts are silenced.", "unsilence": "The silence has ended.", "acknowledge": "The incident is acknowledged.",
		"note": "The note is kept.", "revoke": "The token is revoked.",
		"later": "Accepted. It is carried out as soon as the evaluator comes to it.",
	},
	Accepted: "accepted", Failed: "failed", Unknown: "not known",
}

var accessRussian = accessWords{
	SignIn: "Войти", SignOut: "Выйти", SignInOIDC: "Войти с учётной записью команды",
	Username: "Имя пользователя", Password: "Пароль",
	WrongPassword: "Неверное имя пользователя или пароль.",
	TooMany:       "Слишком много неудачных попыток. Попробуйте через минуту.",
	NoDatabase:    "База данных не отвечает. Попробуйте чуть позже.",
	NoProvider:    "Поставщик входа не отвечает. Попробуйте чуть позже.",
	Denied:        "Этой учётной записи вход не разрешён.",
	TryAgain:      "Вход занял слишком много времени или был начат в другом окне. Попробуйте ещё раз.",

	Audit: "Журнал действий", When: "Когда", Who: "Кто", What: "Что", Node: "Узел", Outcome: "Итог", Older: "Раньше", NoActions: "Пока никто ничего не делал.",
	Tokens: "Токены агентов", NewToken: "Новый токен", MakeToken: "Создать токен",
	ShownOnce:  "Он показан только сейчас. Скопируйте его: здесь хранится лишь его хеш.",
	TokenLater: "NATS не отвечает. Токен заработает, как только NATS ответит.",
	ForNode:    "Только для узла", AnyNode: "любой узел", Note: "Заметка", Made: "Создан", State: "Состояние", Revoke: "Отозвать", Revoked: "отозван",
	NoTokens: "Токенов нет: агенты используют SHARED_SECRET.", NotDone: "Не выполнено", Back: "Назад",

	TokensShort: "Токены", AuditShort: "Журнал",
	Acting: "Действия", SilenceIt: "Заглушить оповещения", ForHowLong: "На сколько", Why: "Почему", NameIt: "Отображаемое имя", Name: "Имя; пустое снимает его",
	OwnThreshold: "Свой порог", Seconds: "Секунды молчания, после которых узел потерян; 0 — по умолчанию", Save: "Сохранить",
	NoteText: "Для команды; пустая удаляется",
	TokenHow: "С ним агент сообщает только об этом узле. Показывается один раз, вместе со строкой установки агента.",
	DeleteIt: "Удалить узел", DeleteHow: "Он вернётся, если снова сообщит о себе; прошлое останется.", Sure: "Да, удалить",
	AuditOfNode: "Что делали с этим узлом", Acknowledge: "Я этим займусь", Silenced: "Заглушён до", EndSilence: "Снять тишину",
	SilenceMany: "Заглушить много узлов", OfWhich: "Какие узлы", OfAll: "все", OfLabel: "с меткой", Label: "Метка, как она записана в пометке",
	Spans: []string{"1 час", "4 часа", "12 часов", "1 день", "7 дней"},

	Kinds: map[string]string{
		"sign_in": "вход", "sign_out": "выход", "delete": "удаление", "name": "имя", "threshold": "порог",
		"silence": "тишина", "unsilence": "конец тишины", "acknowledge": "принято в работу", "note": "заметка",
		"token": "создан токен", "revoke": "отозван токен",
	},
	Done: map[string]string{
		"delete": "Узел удалён.", "name": "Имя сохранено.", "threshold": "Порог сохранён.",
		"silence": "Оповещения приглушены.", "unsilence": "Тишина окончена.", "acknowledge": "Инцидент принят в работу.",
		"note": "Заметка сохранена.", "revoke": "Токен отозван.",
		"later": "Принято. Будет выполнено, как только evaluator до этого дойдёт.",
	},
	Accepted: "принято", Failed: "не выполнено", Unknown: "неизвестно",
	Problems: map[string]string{
		wrongPassword:                           "Неверное имя пользователя или пароль.",
		wrongToken:                              "Неверный токен.",
		noDatabase.detail:                       "База данных не отвечает. Попробуйте чуть позже.",
		noSuchNode.detail:                       "Такого узла нет.",
		"this node has no incident now":         "У этого узла сейчас нет инцидента.",
		"there is no such thing, or it is over": "Такого нет, или оно уже окончено.",
		"commands cannot be taken now":          "Команды сейчас не принимаются.",
		"NATS does not answer: whether the command was taken is unknown; it may be repeated": "NATS не отвечает: неизвестно, принята ли команда; её можно повторить.",
	},
}
