package web

import (
	"cmp"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// Config is what the environment says of the page; standalone embeds it, too.
type Config struct {
	SiteTitle      string             `envconfig:"SITE_TITLE" default:"Gensyn Nodes" desc:"title of the page"`
	Username       settings.Secret    `envconfig:"WEB_USERNAME" desc:"with WEB_PASSWORD: asked for before anything is shown"`
	Password       settings.Secret    `envconfig:"WEB_PASSWORD" desc:"goes with WEB_USERNAME: the password, or a bcrypt or argon2id hash of it, such as hash-password makes"`
	AdminToken     settings.Secret    `envconfig:"ADMIN_TOKEN" desc:"lets programs see and do what people can who are signed in, as a bearer token; not set: none may"`
	PublicURL      string             `envconfig:"PUBLIC_URL" desc:"where people reach the page, like https://nodes.example.org"`
	IngestURL      string             `envconfig:"INGEST_URL" desc:"where agents reach ingest, for the lines that install them, like https://nodes.example.org; standalone: the page's own address"`
	PublicView     bool               `envconfig:"PUBLIC_VIEW" allowed:"true or false" desc:"true: everybody may look, without the nodes' addresses; acting needs signing in"`
	StatusPage     bool               `envconfig:"STATUS_PAGE" allowed:"true or false" desc:"true: everybody may see /status and /badge.svg, which say how many nodes are up and name none"`
	TrustedProxies clientaddr.Proxies `envconfig:"TRUSTED_PROXIES" allowed:"addresses or networks like 10.0.0.0/8, separated by commas" desc:"proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or networks, separated by commas"`
	OIDCIssuer     string             `envconfig:"OIDC_ISSUER" desc:"OpenID provider that people sign in with, like https://accounts.google.com; it must send them back to PUBLIC_URL/sign-in/oidc/callback"`
	OIDCClientID   string             `envconfig:"OIDC_CLIENT_ID" desc:"of the monitor, at the OpenID provider"`
	OIDCSecret     settings.Secret    `envconfig:"OIDC_CLIENT_SECRET" desc:"goes with OIDC_CLIENT_ID"`
	OIDCAllowed    access.Allowed     `envconfig:"OIDC_ALLOWED" allowed:"e-mail addresses and domains like ann@example.org,@example.com" desc:"who may sign in with the OpenID provider: e-mail addresses, and domains with @ before them, separated by commas"`
}

// Check says what is not allowed.
func (c Config) Check() error {
	if err := checkLogin(c.Username, c.Password); err != nil {
		return err
	}
	if err := checkURL("PUBLIC_URL", c.PublicURL, "https://nodes.example.org"); err != nil {
		return err
	}
	if err := checkURL("INGEST_URL", c.IngestURL, "https://nodes.example.org"); err != nil {
		return err
	}
	return c.checkOIDC()
}

func checkURL(name, value, example string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return settings.Invalid(name, value, "an address like "+example)
	}
	return nil
}

// checkOIDC refuses a provider without a list of who may sign in: its every user could, and some have the whole world.
func (c Config) checkOIDC() error {
	if err := checkURL("OIDC_ISSUER", c.OIDCIssuer, "https://accounts.google.com"); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		set  bool
	}{
		{"OIDC_ISSUER", c.OIDCIssuer != ""}, {"OIDC_CLIENT_ID", c.OIDCClientID != ""},
		{"OIDC_CLIENT_SECRET", c.OIDCSecret != ""}, {"OIDC_ALLOWED", len(c.OIDCAllowed) > 0},
	} {
		if !v.set && (c.OIDCIssuer != "" || c.OIDCClientID != "" || c.OIDCSecret != "" || len(c.OIDCAllowed) > 0) {
			return settings.Invalid(v.name, "", "set, since other settings of OIDC are")
		}
	}
	if c.OIDCIssuer != "" && c.PublicURL == "" {
		return settings.Invalid("PUBLIC_URL", "", "set, since OIDC_ISSUER is: the provider sends people back there")
	}
	return nil
}

// Store is what the page reads and writes.
type Store interface {
	nodestore.Reader
	nodestore.Quieting
	nodestore.Access
}

// Options are those of a service with this configuration.
func (c Config) Options(store Store, commands Commands, log zerolog.Logger, m prometheus.Registerer) Options {
	return Options{
		Store: store, Access: store, Quieting: store, Commands: commands, SiteTitle: c.SiteTitle,
		Username: c.Username, Password: c.Password, AdminToken: c.AdminToken, PublicURL: c.PublicURL, IngestURL: c.IngestURL,
		PublicView: c.PublicView, StatusPage: c.StatusPage, TrustedProxies: c.TrustedProxies,
		OIDC: access.OIDC{
			Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, ClientSecret: c.OIDCSecret, Allowed: c.OIDCAllowed,
		},
		Log: log, Metrics: m,
	}
}

// checkLogin refuses half a login: the page would stand open although somebody meant to close it.
func checkLogin(username, password settings.Secret) error {
	switch {
	case username == "" && password != "":
		return settings.Invalid("WEB_USERNAME", "", "set, since WEB_PASSWORD is")
	case username != "" && password == "":
		return settings.Invalid("WEB_PASSWORD", "", "set, since WEB_USERNAME is")
	}
	if _, err := access.ParsePassword(password); err != nil {
		return settings.Invalid("WEB_PASSWORD", password, "a password, or a whole bcrypt or argon2id hash: it "+err.Error())
	}
	return nil
}

// ProcessConfig is the environment of web as a program of its own.
type ProcessConfig struct {
	Config
	program.Logging
	program.Draining
	ListenAddr  string          `envconfig:"LISTEN_ADDR" default:":8080" desc:"address of the page and the API"`
	DatabaseURL settings.Secret `envconfig:"DATABASE_URL" required:"true" desc:"postgres://user:password@host:5432/database; several hosts: …@a,b/database?target_session_attrs=read-write"`
	NATSURL     string          `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"NATS server, several with commas"`
	NATSCreds   string          `envconfig:"NATS_CREDS_FILE" desc:"credentials file for NATS"`
	MetricsAddr string          `envconfig:"METRICS_ADDR" default:"127.0.0.1:9104" desc:"address of /metrics, /healthz and /readyz"`
}

// Check says what is not allowed.
func (c ProcessConfig) Check() error { return cmp.Or(c.Config.Check(), c.CheckDraining()) }
