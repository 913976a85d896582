package web

import (
	"cmp"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// Config is what the environment says of the page; standalone embeds it, too.
type Config struct {
	SiteTitle  string          `envconfig:"SITE_TITLE" default:"Gensyn Nodes" desc:"title of the page"`
	Username   settings.Secret `envconfig:"WEB_USERNAME" desc:"with WEB_PASSWORD: asked for before anything is shown"`
	Password   settings.Secret `envconfig:"WEB_PASSWORD" desc:"goes with WEB_USERNAME"`
	AdminToken settings.Secret `envconfig:"ADMIN_TOKEN" desc:"allows DELETE /api/nodes/<node_id>; not set: nobody may"`
	PublicURL  string          `envconfig:"PUBLIC_URL" desc:"where people reach the page, like https://nodes.example.org"`
}

// Check says what is not allowed.
func (c Config) Check() error {
	if err := checkLogin(c.Username, c.Password); err != nil {
		return err
	}
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return settings.Invalid("PUBLIC_URL", c.PublicURL, "an address like https://nodes.example.org")
	}
	return nil
}

// Options are those of a service with this configuration.
func (c Config) Options(store nodestore.Reader, commands Commands, log zerolog.Logger, m prometheus.Registerer) Options {
	return Options{
		Store: store, Commands: commands, SiteTitle: c.SiteTitle,
		Username: c.Username, Password: c.Password, AdminToken: c.AdminToken, PublicURL: c.PublicURL,
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
