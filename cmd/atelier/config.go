package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/api"
	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/processors/gemini"
)

// Config is everything that can be set, by flag or variable. A `secret` is
// never printed.
type Config struct {
	Brokers         []string `env:"ATELIER_BROKERS" group:"Parts" placeholder:"HOST:PORT" help:"Kafka brokers; empty: embedded (up only)."`
	TopicPrefix     string   `env:"ATELIER_TOPIC_PREFIX" group:"Parts" help:"Put before every topic and group, for a shared cluster."`
	Partitions      int      `env:"ATELIER_PARTITIONS" group:"Parts" default:"12" help:"Partitions of each topic, fixed for life."`
	Replication     int      `env:"ATELIER_REPLICATION" group:"Parts" default:"3" help:"Replicas that the topics must have; roles refuse to start on fewer."`
	TopicGeneration int      `env:"ATELIER_TOPIC_GENERATION" group:"Parts" default:"0" help:"How often the topics were made anew."`
	DatabaseURL     string   `env:"DATABASE_URL" name:"database-url" group:"Parts" secret:"url" placeholder:"URL" help:"Postgres 17 or newer; empty: embedded (up only)."`
	RegistryURL     string   `env:"ATELIER_REGISTRY_URL" name:"registry-url" group:"Parts" secret:"url" placeholder:"URL" help:"Schema registry (Confluent API); empty: the embedded one's ids."`
	MediaURL        string   `env:"ATELIER_MEDIA_URL" name:"media-url" group:"Parts" placeholder:"URL" help:"Media store: a directory, or s3://BUCKET?region=REGION&endpoint=URL&use_path_style=true with the credentials of AWS's own variables; empty: in the data directory (up only)."`
	CDNURL          string   `env:"ATELIER_CDN_URL" name:"cdn-url" group:"Parts" placeholder:"URL" help:"Pull zone of Bunny's CDN before the media store, such as https://ZONE.b-cdn.net; empty: the API serves media itself."`

	Listen         string `env:"ATELIER_LISTEN" group:"Addresses" default:"127.0.0.1:8080" help:"Address of the API."`
	OperatorListen string `env:"ATELIER_OPERATOR_LISTEN" group:"Addresses" default:"127.0.0.1:0" help:"Address of /metrics, /healthz and /readyz."`
	PublicURL      string `env:"ATELIER_PUBLIC_URL" name:"public-url" group:"Addresses" placeholder:"URL" help:"Address that people see; empty: that of --listen."`
	BrokerListen   string `env:"ATELIER_BROKER_LISTEN" group:"Addresses" default:"127.0.0.1:0" help:"Address of the embedded broker."`
	RegistryListen string `env:"ATELIER_REGISTRY_LISTEN" group:"Addresses" default:"127.0.0.1:0" help:"Address of the embedded registry."`

	Data      string `env:"ATELIER_DATA" group:"Place" default:".atelier" placeholder:"DIR" help:"Data directory of the embedded parts."`
	Instance  string `env:"ATELIER_INSTANCE" group:"Place" placeholder:"NAME" help:"Unique per live instance, stable across its restarts; empty: the host's name."`
	LogLevel  string `env:"ATELIER_LOG_LEVEL" group:"Place" enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
	LogFormat string `env:"ATELIER_LOG_FORMAT" group:"Place" enum:"json,text" default:"json" help:"json or text."`

	MasterKey string `env:"ATELIER_MASTER_KEY" group:"Secrets" secret:"yes" placeholder:"BASE64" help:"32 bytes that wrap the accounts' keys; empty: kept in the data directory (up only)."`
	MediaKey  string `env:"ATELIER_MEDIA_KEY" group:"Secrets" secret:"yes" placeholder:"BASE64" help:"32 bytes that sign media links; empty: kept in the data directory (up only)."`
	CDNKey    string `env:"ATELIER_CDN_KEY" name:"cdn-key" group:"Secrets" secret:"yes" placeholder:"KEY" help:"Token authentication key of the pull zone."`

	JWTIssuer     string `env:"ATELIER_JWT_ISSUER" name:"jwt-issuer" group:"Sign-in" placeholder:"URL" help:"Issuer of access tokens; empty: embedded (up only)."`
	JWTAudience   string `env:"ATELIER_JWT_AUDIENCE" name:"jwt-audience" group:"Sign-in" default:"authenticated" help:"Their audience."`
	JWTAlgorithm  string `env:"ATELIER_JWT_ALGORITHM" name:"jwt-algorithm" group:"Sign-in" enum:"ES256,RS256" default:"ES256" help:"The one algorithm that is accepted: ES256 or RS256."`
	JWKSURL       string `env:"ATELIER_JWKS_URL" name:"jwks-url" group:"Sign-in" placeholder:"URL" help:"Where its keys are; empty: <issuer>/.well-known/jwks.json."`
	JWTEmailClaim string `env:"ATELIER_JWT_EMAIL_CLAIM" name:"jwt-email-claim" group:"Sign-in" placeholder:"CLAIM" help:"Claim by which the issuer itself says that the e-mail is confirmed, such as app_metadata.email_confirmed_at; empty: nobody gets welcome credits."`

	SignInKey string `env:"ATELIER_SIGN_IN_KEY" name:"sign-in-key" group:"Sign-in" placeholder:"KEY" help:"Publishable key of the Supabase project that is the issuer, for the screens to sign people in; empty: they cannot."`

	GeminiAPIKey   string        `env:"GEMINI_API_KEY" name:"gemini-api-key" group:"Model" secret:"yes" help:"Key of the Gemini API; empty: the stand-in (up only)."`
	GeminiBaseURL  string        `env:"ATELIER_GEMINI_URL" name:"gemini-url" group:"Model" placeholder:"URL" help:"Another address of the Gemini API, such as a stand-in's."`
	VertexProject  string        `env:"ATELIER_VERTEX_PROJECT" name:"vertex-project" group:"Model" placeholder:"PROJECT" help:"Project of Google Cloud whose models are called instead, with the machine's own credentials; empty: the Gemini API."`
	VertexLocation string        `env:"ATELIER_VERTEX_LOCATION" name:"vertex-location" group:"Model" default:"global" placeholder:"LOCATION" help:"Where its models run."`
	ModelStandard  string        `env:"ATELIER_MODEL_STANDARD" name:"model-standard" group:"Model" default:"gemini-nano-banana-2.1" placeholder:"ID" help:"Model that draws at the standard price."`
	ModelPro       string        `env:"ATELIER_MODEL_PRO" name:"model-pro" group:"Model" default:"gemini-3-pro-image" placeholder:"ID" help:"Model that draws at the pro price."`
	ModelJudge     string        `env:"ATELIER_MODEL_JUDGE" name:"model-judge" group:"Model" default:"gemini-3.8-flash" placeholder:"ID" help:"Model that judges what was drawn."`
	Slots          int           `env:"ATELIER_SLOTS" group:"Model" default:"8" help:"Generations that run at once, 1 to 256."`
	AccountSlots   int           `env:"ATELIER_ACCOUNT_SLOTS" group:"Model" default:"4" help:"Of these, how many one account may have."`
	CallTimeout    time.Duration `env:"ATELIER_CALL_TIMEOUT" group:"Model" default:"5m" help:"How long one call of the model may take, 1s to 15m; also how long a call is waited out whose owner was killed."`
	DailyBudget    float64       `env:"ATELIER_DAILY_BUDGET_USD" name:"daily-budget-usd" group:"Model" default:"0" placeholder:"USD" help:"What the models may cost a day (UTC), all accounts together, before no new images are taken on; 0: no limit."`
	Deadline       time.Duration `env:"ATELIER_DEADLINE" group:"Model" default:"30m" help:"Time after which an image that is not ready is failed, 1m to 24h."`

	LimitImages     int `env:"ATELIER_LIMIT_IMAGES" group:"Limits" default:"48" help:"Images a batch, 1 to 48."`
	LimitOpen       int `env:"ATELIER_LIMIT_OPEN" group:"Limits" default:"96" help:"Open generations an account, 1 to 500."`
	LimitBrands     int `env:"ATELIER_LIMIT_BRANDS" group:"Limits" default:"50" help:"Brands an account, 1 to 100."`
	LimitAssets     int `env:"ATELIER_LIMIT_ASSETS" group:"Limits" default:"500" help:"Assets an account, 1 to 1000."`
	LimitKitBytes   int `env:"ATELIER_LIMIT_KIT_BYTES" group:"Limits" default:"16384" help:"Bytes of a brand kit, 1 to 16384."`
	LimitBriefBytes int `env:"ATELIER_LIMIT_BRIEF_BYTES" group:"Limits" default:"8192" help:"Bytes of a brief, 1 to 8192."`
	LimitFileBytes  int `env:"ATELIER_LIMIT_FILE_BYTES" group:"Limits" default:"20971520" help:"Bytes of an uploaded file, 1 to 20971520."`
	LimitReads      int `env:"ATELIER_LIMIT_READS" group:"Limits" default:"300" help:"Reads a minute and account."`
	LimitWrites     int `env:"ATELIER_LIMIT_WRITES" group:"Limits" default:"60" help:"Writes a minute and account."`
	LimitUploads    int `env:"ATELIER_LIMIT_UPLOADS" group:"Limits" default:"10" help:"Uploads a minute and account."`
	LimitStreams    int `env:"ATELIER_LIMIT_STREAMS" group:"Limits" default:"5" help:"Streams at a time and account."`
}

func (c *Config) validate() error {
	checks := []struct {
		ok   bool
		text string
	}{
		{c.Partitions >= 1 && c.Partitions <= 1024, fmt.Sprintf("ATELIER_PARTITIONS is %d; it may be 1 to 1024", c.Partitions)},
		{c.Replication >= 1 && c.Replication <= 9, fmt.Sprintf("ATELIER_REPLICATION is %d; it may be 1 to 9", c.Replication)},
		{c.TopicGeneration >= 0, fmt.Sprintf("ATELIER_TOPIC_GENERATION is %d; it counts from 0", c.TopicGeneration)},
		{c.Slots >= 1 && c.Slots <= 256, fmt.Sprintf("ATELIER_SLOTS is %d; it may be 1 to 256", c.Slots)},
		{c.AccountSlots >= 1 && c.AccountSlots <= c.Slots, fmt.Sprintf("ATELIER_ACCOUNT_SLOTS is %d; it may be 1 to ATELIER_SLOTS (%d)", c.AccountSlots, c.Slots)},
		{c.CallTimeout >= time.Second && c.CallTimeout <= 15*time.Minute, fmt.Sprintf("ATELIER_CALL_TIMEOUT is %s; it may be 1s to 15m", c.CallTimeout)},
		{c.DailyBudget >= 0 && c.DailyBudget <= 1e6, fmt.Sprintf("ATELIER_DAILY_BUDGET_USD is %v; it may be 0 to 1000000", c.DailyBudget)},
		{c.Deadline >= time.Minute && c.Deadline <= 24*time.Hour, fmt.Sprintf("ATELIER_DEADLINE is %s; it may be 1m to 24h", c.Deadline)},
	}
	for _, check := range checks {
		if !check.ok {
			return errors.New(check.text)
		}
	}
	for name, address := range map[string]string{
		"ATELIER_LISTEN": c.Listen, "ATELIER_OPERATOR_LISTEN": c.OperatorListen,
		"ATELIER_BROKER_LISTEN": c.BrokerListen, "ATELIER_REGISTRY_LISTEN": c.RegistryListen,
	} {
		if _, err := net.ResolveTCPAddr("tcp", address); err != nil {
			return fmt.Errorf("%s is %q; it may be host:port, such as 127.0.0.1:8080", name, address)
		}
	}
	for name, key := range map[string]string{"ATELIER_MASTER_KEY": c.MasterKey, "ATELIER_MEDIA_KEY": c.MediaKey} {
		if _, err := decodeKey(key); err != nil {
			return fmt.Errorf("%s is not 32 bytes in base64 (`openssl rand -base64 32` makes one)", name)
		}
	}
	return errors.Join(c.validateLimits(), c.validateModels(), c.validateAddresses())
}

// validateModels refuses a model that is not known, retired, or of the other kind.
func (c *Config) validateModels() error {
	for _, m := range []struct {
		variable, id string
		text         bool
	}{
		{"ATELIER_MODEL_STANDARD", c.ModelStandard, false}, {"ATELIER_MODEL_PRO", c.ModelPro, false}, {"ATELIER_MODEL_JUDGE", c.ModelJudge, true},
	} {
		if offered := gemini.Offered(m.text); !slices.Contains(offered, m.id) {
			return fmt.Errorf("%s is %q; it may be %s", m.variable, m.id, strings.Join(offered, ", "))
		}
	}
	if c.VertexProject != "" && c.GeminiAPIKey != "" {
		return errors.New("ATELIER_VERTEX_PROJECT and GEMINI_API_KEY are both set; one of them may be")
	}
	return nil
}

// gemini is how the models are called.
func (c *Config) gemini(log zerolog.Logger, registerer prometheus.Registerer) gemini.Config {
	g := gemini.Config{APIKey: c.GeminiAPIKey, BaseURL: c.GeminiBaseURL, Timeout: c.CallTimeout, Log: log, Registerer: registerer}
	if c.VertexProject != "" {
		g.Vertex = gemini.Vertex{Project: c.VertexProject, Location: c.VertexLocation}
	}
	return g
}

func (c *Config) validateLimits() error {
	for _, limit := range []struct {
		name        string
		value, most int
	}{
		{"IMAGES", c.LimitImages, 48}, {"OPEN", c.LimitOpen, 500}, {"BRANDS", c.LimitBrands, 100}, {"ASSETS", c.LimitAssets, 1000},
		{"KIT_BYTES", c.LimitKitBytes, 16 << 10}, {"BRIEF_BYTES", c.LimitBriefBytes, 8 << 10}, {"FILE_BYTES", c.LimitFileBytes, 20 << 20},
		{"READS", c.LimitReads, math.MaxInt32}, {"WRITES", c.LimitWrites, math.MaxInt32}, {"UPLOADS", c.LimitUploads, c.LimitWrites},
		{"STREAMS", c.LimitStreams, math.MaxInt32},
	} {
		if limit.value < 1 || limit.value > limit.most {
			return fmt.Errorf("ATELIER_LIMIT_%s is %d; it may be 1 to %d", limit.name, limit.value, limit.most)
		}
	}
	return nil
}

// validateAddresses refuses what cannot be an address before anything is started.
// None is quoted: some hold a password.
func (c *Config) validateAddresses() error {
	for _, broker := range c.Brokers {
		if _, port, err := net.SplitHostPort(broker); err != nil || port == "" || strings.ContainsFunc(port, notDigit) {
			return fmt.Errorf("ATELIER_BROKERS has %q; it may be host:port, several separated by commas", broker)
		}
	}
	for _, address := range []struct {
		variable, value, example string
		schemes                  []string
	}{
		{"DATABASE_URL", c.DatabaseURL, "postgres://user:password@host:5432/name", []string{"postgres", "postgresql"}},
		{"ATELIER_REGISTRY_URL", c.RegistryURL, "http://127.0.0.1:8081", []string{"http", "https"}},
		{"ATELIER_PUBLIC_URL", c.PublicURL, "https://atelier.example", []string{"http", "https"}},
		{"ATELIER_JWT_ISSUER", c.JWTIssuer, "https://PROJECT.supabase.co/auth/v1", []string{"http", "https"}},
		{"ATELIER_JWKS_URL", c.JWKSURL, "https://issuer.example/jwks.json", []string{"http", "https"}},
		{"ATELIER_GEMINI_URL", c.GeminiBaseURL, "http://127.0.0.1:8090", []string{"http", "https"}},
	} {
		if address.value == "" {
			continue
		}
		if u, err := url.Parse(address.value); err != nil || u.Host == "" || !slices.Contains(address.schemes, u.Scheme) {
			return fmt.Errorf("%s is no such address; it may be %s", address.variable, address.example)
		}
	}
	if c.MediaURL != "" {
		if err := media.CheckLocation(c.MediaURL); err != nil {
			return fmt.Errorf("ATELIER_MEDIA_URL: %w", err)
		}
	}
	if c.CDNURL != "" || c.CDNKey != "" {
		if _, err := media.NewBunny(c.CDNURL, c.CDNKey); err != nil {
			return fmt.Errorf("ATELIER_CDN_URL or ATELIER_CDN_KEY: %w", err)
		}
	}
	if c.JWTIssuer != "" {
		if _, err := c.verifier(nil); err != nil {
			return fmt.Errorf("ATELIER_JWT_ISSUER, ATELIER_JWKS_URL or ATELIER_JWT_EMAIL_CLAIM: %w", err)
		}
	}
	return nil
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// keyBytes is the length of the master key and of the media key.
const keyBytes = 32

func decodeKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keyBytes {
		return nil, errors.New("not 32 bytes in base64")
	}
	return key, nil
}

func (c *Config) logger() zerolog.Logger {
	level, _ := zerolog.ParseLevel(c.LogLevel)
	var out io.Writer = os.Stderr
	if c.LogFormat == "text" {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

func (c *Config) kafka(role string, log zerolog.Logger) kafka.Config {
	return kafka.Config{Brokers: c.Brokers, Prefix: c.TopicPrefix, ClientID: role, Log: log}
}

// signIn is how the screens sign people in: with Supabase, whose project stands at the
// issuer's address. The embedded issuer goes first.
func (c *Config) signIn() api.SignInMethod {
	if c.SignInKey == "" {
		return api.SignInMethod{}
	}
	return api.SignInMethod{URL: strings.TrimSuffix(strings.TrimSuffix(c.JWTIssuer, "/"), "/auth/v1"), Key: c.SignInKey}
}

func (c *Config) instance() string {
	if c.Instance != "" {
		return c.Instance
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "atelier"
}

type configCmd struct {
	JSON bool `name:"json" help:"As one JSON object."`
}

// Run prints every setting by its variable. Secrets are "set" or "not set", and
// addresses lose their passwords.
func (cmd configCmd) Run(c *Config, out io.Writer) error {
	settings := map[string]string{}
	value, typ := reflect.ValueOf(*c), reflect.TypeOf(*c)
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, text := field.Tag.Get("env"), fmt.Sprint(value.Field(i).Interface())
		if list, ok := value.Field(i).Interface().([]string); ok {
			text = strings.Join(list, ",")
		}
		settings[name] = shown(field.Tag.Get("secret"), text)
		if !cmd.JSON {
			fmt.Fprintf(out, "%-26s %s\n", name, settings[name])
		}
	}
	if cmd.JSON {
		return json.NewEncoder(out).Encode(settings)
	}
	return nil
}

func shown(secret, text string) string {
	switch {
	case secret == "":
		return text
	case text == "":
		return "(not set)"
	case secret == "url":
		if u, err := url.Parse(text); err == nil {
			return u.Redacted()
		}
	}
	return "(set)"
}

type versionCmd struct{}

// Run prints what was built.
func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintln(out, version())
	return err
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
