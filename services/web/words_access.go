package web

import "net/http"

// accessWords are the texts of signing in and acting in one language.
type accessWords struct {
	SignIn, SignOut, SignInOIDC    string
	Username, Password             string
	WrongPassword, TooMany         string
	NoDatabase, NoProvider, Denied string
	Done                           map[string]string // after an action, by its kind; "later" when it is not carried out yet
}

func accessWordsFor(r *http.Request) *accessWords {
	if w, _ := language(r); w.Lang == russian.Lang {
		return &accessRussian
	}
	return &accessEnglish
}

var accessEnglish = accessWords{
	SignIn: "Sign in", SignOut: "Sign out", SignInOIDC: "Sign in with the team's account",
	Username: "User name", Password: "Password",
	WrongPassword: "The user name or the password is wrong.",
	TooMany:       "Too many failed attempts. Try again in a minute.",
	NoDatabase:    "The database does not answer. Try again in a moment.",
	NoProvider:    "The sign-in provider does not answer. Try again in a moment.",
	Denied:        "This account may not sign in here.",
	Done:          map[string]string{},
}

var accessRussian = accessWords{
	SignIn: "Войти", SignOut: "Выйти", SignInOIDC: "Войти с учётной записью команды",
	Username: "Имя пользователя", Password: "Пароль",
	WrongPassword: "Неверное имя пользователя или пароль.",
	TooMany:       "Слишком много неудачных попыток. Попробуйте через минуту.",
	NoDatabase:    "База данных не отвечает. Попробуйте чуть позже.",
	NoProvider:    "Поставщик входа не отвечает. Попробуйте чуть позже.",
	Denied:        "Этой учётной записи вход не разрешён.",
	Done:          map[string]string{},
}
