package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	// readinessAge is how long an answer about the parts holds: probes, and
	// strangers, ask as often as they like. That one is missing holds for less, so
	// that a start is seen at once.
	readinessAge   = time.Second
	unreadinessAge = 20 * time.Millisecond
	// readinessTimeout bounds one look at all parts.
	readinessTimeout = 3 * time.Second
)

// GetHealth implements ServerInterface.
func (s *Server) GetHealth(c *fiber.Ctx) error {
	return c.JSON(Health{Status: HealthStatusOk, Version: s.config.Version})
}

// readiness is the newest look at the parts. It is safe for concurrent use.
type readiness struct {
	mu    sync.Mutex
	at    time.Time
	parts map[string]string
}

// partOK is what is said of a part that answers.
const partOK = "ok"

// Parts says of each part that the api stands on "ok", or in words what is wrong,
// at most a second old.
func (s *Server) Parts() map[string]string {
	s.parts.mu.Lock()
	defer s.parts.mu.Unlock()
	age := readinessAge
	if !allOK(s.parts.parts) {
		age = unreadinessAge
	}
	if now := s.now(); s.parts.parts == nil || now.Sub(s.parts.at) >= age {
		s.parts.parts, s.parts.at = s.lookAtParts(), now
	}
	return maps.Clone(s.parts.parts)
}

func (s *Server) lookAtParts() map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), readinessTimeout)
	defer cancel()
	parts := map[string]string{"event_log": partOK, "database": partOK, "brokers": partOK}
	if !s.config.Feed.Ready() {
		parts["event_log"] = "is being read"
	}
	if err := s.config.Pool.Ping(ctx); err != nil {
		parts["database"] = "does not answer"
	}
	if s.config.Brokers != nil && s.config.Brokers(ctx) != nil {
		parts["brokers"] = "do not answer"
	}
	return parts
}

// Ready says whether every part answers.
func (s *Server) Ready() bool { return allOK(s.Parts()) }

func allOK(parts map[string]string) bool {
	for _, is := range parts {
		if is != partOK {
			return false
		}
	}
	return true
}

// GetReadiness implements ServerInterface.
func (s *Server) GetReadiness(c *fiber.Ctx) error {
	parts := s.Parts()
	answer := Readiness{Ready: allOK(parts), Parts: parts}
	if !answer.Ready {
		c.Status(http.StatusServiceUnavailable)
	}
	return c.JSON(answer)
}

// GetOpenAPI implements ServerInterface.
func (s *Server) GetOpenAPI(c *fiber.Ctx) error { return sendJSON(c, s.contract.json) }

// GetKitSchema implements ServerInterface.
func (s *Server) GetKitSchema(c *fiber.Ctx) error { return sendJSON(c, s.kit) }

func sendJSON(c *fiber.Ctx, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(body)
}

// kitSchemaVersion is the version of the kit's JSON Schema that kits are written
// under now. Kits of older versions stay valid: only optional fields come.
const kitSchemaVersion = 1

// kitSchema is the kit's part of the contract as a document of its own.
func (k *contract) kitSchema() ([]byte, error) {
	raw, err := k.spec.Components.Schemas["Kit"].Value.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("kit schema: %w", err)
	}
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		return nil, fmt.Errorf("kit schema: %w", err)
	}
	delete(schema, "x-go-type")
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$id"] = fmt.Sprintf("/kit.schema.v%d.json", kitSchemaVersion)
	schema["title"] = "Brand kit"
	return json.Marshal(schema)
}

// SignIn implements ServerInterface.
func (s *Server) SignIn(c *fiber.Ctx) error {
	if s.config.Issuer == nil {
		return refuse(codeNotFound, "people sign in elsewhere")
	}
	// A page whose name was made to point at this machine is not this machine.
	if host, _, err := net.SplitHostPort(c.Hostname()); (err == nil && !isLoopback(host)) || (err != nil && !isLoopback(c.Hostname())) {
		return refuse(codeNotFound, "the embedded sign-in is for this machine alone")
	}
	var body SignIn
	if _, err := s.decode(c, "SignIn", &body); err != nil {
		return err
	}
	token, expires, err := s.config.Issuer.SignIn(body.Email)
	if err != nil {
		return refuseField("/email", ErrEmail.Error())
	}
	return c.JSON(Token{AccessToken: token, TokenType: TokenTokenTypeBearer, ExpiresAt: expires})
}

// GetKeys implements ServerInterface.
func (s *Server) GetKeys(c *fiber.Ctx) error {
	if s.config.Issuer == nil {
		return refuse(codeNotFound, "people sign in elsewhere")
	}
	return sendJSON(c, s.config.Issuer.JWKS())
}

// GetStream implements ServerInterface.
func (s *Server) GetStream(c *fiber.Ctx, _ GetStreamParams) error {
	id, _ := identityOf(c)
	return s.streams.Handle(c, id.AccountID, id.ExpiresAt)
}

// GetDocs implements ServerInterface.
func (s *Server) GetDocs(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src '"+docsStyleHash+"'; frame-ancestors 'none'")
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.SendStream(bytes.NewReader(s.docs), len(s.docs))
}
