package api

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"atelier/projections"
	"atelier/schemas"
)

// The keys under which a request carries what was found out about it.
type localKey int

const (
	localCorrelation localKey = iota
	localIdentity
	localOpened
)

// traceParentBytes is the length of a version 00 header (W3C Trace Context, 3.2).
const traceParentBytes = 55

// correlate gives the request its correlation ID: the trace that its caller named,
// or a new one. It goes into the log, the problem, the command and the answer.
func (s *Server) correlate(c *fiber.Ctx) error {
	correlation := correlationFrom(c.Get("Traceparent"))
	if correlation == "" {
		correlation = schemas.NewID()
	}
	c.Locals(localCorrelation, correlation)
	c.Set("Traceparent", traceParent(correlation))
	return c.Next()
}

// correlationFrom reads the trace ID of a traceparent as a UUID; empty where there
// is none.
func correlationFrom(header string) string {
	if len(header) < traceParentBytes || header[2] != '-' || header[35] != '-' {
		return ""
	}
	raw, err := hex.DecodeString(header[3:35])
	if err != nil || bytes.Equal(raw, make([]byte, len(raw))) {
		return ""
	}
	return uuid.UUID(raw).String()
}

// traceParent names this answer as a part of its trace.
func traceParent(correlation string) string {
	span := uuid.New()
	return "00-" + strings.ReplaceAll(correlation, "-", "") + "-" + hex.EncodeToString(span[8:]) + "-01"
}

func correlationOf(c *fiber.Ctx) string {
	if known, ok := c.Locals(localCorrelation).(string); ok {
		return known
	}
	// Refused before the middleware ran.
	fresh := schemas.NewID()
	c.Locals(localCorrelation, fresh)
	c.Set("Traceparent", traceParent(fresh))
	return fresh
}

// secure sets the headers of every answer. The API's answers are never pages:
// nothing in them may load or be framed.
func secure(c *fiber.Ctx) {
	setDefault(c, "X-Content-Type-Options", "nosniff")
	setDefault(c, fiber.HeaderReferrerPolicy, "no-referrer")
	setDefault(c, fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	setDefault(c, "Cross-Origin-Resource-Policy", "same-origin")
	setDefault(c, fiber.HeaderCacheControl, "no-store")
}

func setDefault(c *fiber.Ctx, header, value string) {
	if len(c.Response().Header.Peek(header)) == 0 {
		c.Set(header, value)
	}
}

// observe logs and counts each request after it was answered, errors included.
func (s *Server) observe(c *fiber.Ctx) error {
	began := time.Now()
	if err := s.recovered(c); err != nil {
		if err := s.problem(c, err); err != nil {
			return err
		}
	}
	secure(c)
	status, route := c.Response().StatusCode(), routeOf(c)
	took := time.Since(began)
	s.metrics.requests.WithLabelValues(c.Method(), route, fmt.Sprint(status)).Observe(took.Seconds())
	level := zerolog.DebugLevel
	if status >= fiber.StatusInternalServerError {
		level = zerolog.WarnLevel
	}
	event := s.config.Log.WithLevel(level)
	if s.config.Log.GetLevel() > level {
		return nil
	}
	if id, ok := identityOf(c); ok {
		event = event.Str("account_id", id.AccountID)
	}
	event.Str("correlation_id", correlationOf(c)).Str("method", c.Method()).Str("route", route).
		Int("status", status).Dur("took", took).Msg("request")
	return nil
}

// routeOf is the pattern of the route that answered, of which there are few.
func routeOf(c *fiber.Ctx) string {
	if path := c.Route().Path; path != "/" && path != "/v1" {
		return strings.Clone(path)
	}
	return "none"
}

// recovered runs the rest of the request and turns a panic into an error.
func (s *Server) recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
		}
	}()
	return c.Next()
}

// refuseEncoded refuses compressed bodies: Fiber would inflate them without a
// limit (a 408 KB request became 400 MiB).
func refuseEncoded(c *fiber.Ctx) error {
	if len(c.Request().Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return refuse(codeContentEncoding, "send the body as it is")
	}
	return c.Next()
}

// authenticate checks the token, counts the request, and opens the account at a
// person's first request.
func (s *Server) authenticate(c *fiber.Ctx) error {
	scheme, token, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return ErrUnauthorized
	}
	identity, err := s.config.Verifier.Verify(c.UserContext(), token)
	if err != nil {
		return err
	}
	c.Locals(localIdentity, identity)
	if err := s.rates.of(c.Method(), c.Path()).limit(c, identity.AccountID); err != nil {
		return err
	}
	opened, err := s.openAccount(c.UserContext(), identity, correlationOf(c))
	if err != nil {
		return err
	}
	if opened != nil {
		c.Locals(localOpened, *opened)
	}
	return c.Next()
}

func identityOf(c *fiber.Ctx) (Identity, bool) {
	id, ok := c.Locals(localIdentity).(Identity)
	return id, ok
}

// accountOf is whose request it is. Routes under /v1 are authenticated.
func accountOf(c *fiber.Ctx) string {
	id, _ := identityOf(c)
	return id.AccountID
}

// openedOf is the position of the event that opened the account in this request.
func openedOf(c *fiber.Ctx) *projections.Position {
	if p, ok := c.Locals(localOpened).(projections.Position); ok {
		return &p
	}
	return nil
}
