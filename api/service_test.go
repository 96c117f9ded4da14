package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"atelier/projections"
	"atelier/schemas"
)

func testService(t *testing.T, w *world) {
	stranger := &person{t: t, node: w.node}
	require.Equal(t, "ok", stranger.get("/healthz").text("status"))
	ready := stranger.get("/readyz")
	require.Equal(t, true, ready.at("ready"))
	require.Equal(t, "ok", ready.text("parts.database"))
	require.Equal(t, "3.0.3", stranger.get("/openapi.json").text("openapi"))
	require.Equal(t, 1, stranger.get("/.well-known/jwks.json").len("keys"))
	require.Equal(t, http.StatusFound, stranger.send(http.MethodGet, "/", nil, nil).status)
	stranger.send(http.MethodGet, "/nothing", nil, nil).refused(http.StatusNotFound, codeNotFound)
	stranger.send(http.MethodGet, "/v1/nothing", nil, nil).refused(http.StatusUnauthorized, codeUnauthorized)
	stranger.send(http.MethodPut, "/healthz", nil, nil).refused(http.StatusMethodNotAllowed, codeMethodNotAllowed)
	for _, method := range []string{"PROPFIND", "get", "X-" + strings.Repeat("A", 1000), http.MethodTrace} {
		unknown := stranger.send(method, "/healthz", nil, nil).refused(http.StatusMethodNotAllowed, codeMethodNotAllowed)
		require.Equal(t, []string{"GET, HEAD"}, unknown.headers["Allow"], method)
		require.NotEmpty(t, unknown.headers.Get("Traceparent"), method)
		stranger.send(method, "/nothing", nil, nil).refused(http.StatusNotFound, codeNotFound)
		stranger.send(method, "/v1/brands", strings.Repeat("x", 100), nil).refused(http.StatusUnauthorized, codeUnauthorized)
	}
	stranger.send(http.MethodGet, "/metrics", nil, nil).refused(http.StatusNotFound, codeNotFound)
	stranger.send(http.MethodPost, "/dev/sign-in", `{"email": "nobody"}`, nil).refused(http.StatusUnprocessableEntity, codeValidation)

	ann := w.node.person(t)
	ann.send(http.MethodGet, "/v1/nothing", nil, nil).refused(http.StatusNotFound, codeNotFound)
	ann.send(http.MethodGet, "/v1/brands/", nil, nil).refused(http.StatusNotFound, codeNotFound)
	ann.send(http.MethodGet, "/v1/brands/no-uuid", nil, nil).refused(http.StatusBadRequest, codeMalformed)
	require.Equal(t, "colour", ann.send(http.MethodGet, "/v1/generations?colour=red", nil, nil).refused(http.StatusBadRequest, codeMalformed).text("errors.0.pointer"))
	require.Equal(t, len(schemas.Placements), ann.get("/v1/placements").len("items"))
	require.Equal(t, 2, ann.get("/v1/workflows").number("items.0.prices.standard"))
	packs := ann.get("/v1/packs")
	require.Equal(t, len(schemas.Packs), packs.len("items"))
	require.Equal(t, []int{500, 3900}, []int{packs.number("items.1.credits"), packs.number("items.1.price.amount")})
	require.Contains(t, string(packs.body), `"checkout":false`)
	ann.send(http.MethodGet, "/v1/commands/"+ann.account, nil, nil).refused(http.StatusNotFound, codeNotFound)
	require.Equal(t, "pending", ann.get("/v1/commands/"+schemas.NewID()).text("status"))

	// A correlation ID that the caller brings goes into the answer.
	traced := ann.send(http.MethodGet, "/v1/me", nil, map[string]string{"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	require.Contains(t, traced.headers.Get("Traceparent"), "00-0af7651916cd43dd8448eb211c80319c-")
}

// A page whose name points at this machine cannot sign anybody in.
func testSignInIsForThisMachine(t *testing.T, w *world) {
	for host, status := range map[string]int{"attacker.example": 404, "attacker.example:8080": 404, "127.0.0.1:1": 200, "localhost": 200, "[::1]:80": 200} {
		request, err := http.NewRequest(http.MethodPost, w.node.base+"/dev/sign-in", strings.NewReader(`{"email": "a@example.com"}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Host = host
		require.Equal(t, status, (&person{t: t, node: w.node}).do(request).status, host)
	}
	elsewhere := w.startNode(func(c *Config) { c.Issuer = nil })
	(&person{t: t, node: elsewhere}).send(http.MethodPost, "/dev/sign-in", `{"email": "a@example.com"}`, nil).refused(http.StatusNotFound, codeNotFound)
}

// The documentation is a page that needs nothing else, and each problem's type
// leads to its code there.
func testDocs(t *testing.T, w *world) {
	stranger := &person{t: t, node: w.node}
	page := stranger.send(http.MethodGet, "/docs", nil, nil)
	require.Equal(t, http.StatusOK, page.status)
	text := string(page.body)
	require.False(t, regexp.MustCompile(`<script|(src|href)="(https?:)?//`).MatchString(text), "it loads nothing")
	require.Contains(t, page.headers.Get("Content-Security-Policy"), docsStyleHash)
	for code := range kinds {
		require.True(t, strings.Contains(text, `<tr id="`+code+`">`), code)
		require.True(t, strings.Contains(w.node.server.contract.spec.Info.Description, "`"+code+"`"), "%s is not in the contract's table", code)
	}
}

// The kit's schema is one that others' validators read, and the sample fits it.
func testKitSchema(t *testing.T, w *world) {
	stranger := &person{t: t, node: w.node}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(stranger.get("/kit.schema.v1.json").body)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("kit.json", document))
	schema, err := compiler.Compile("kit.json")
	require.NoError(t, err)
	var kit any
	require.NoError(t, json.Unmarshal(sampleKit, &kit))
	require.NoError(t, schema.Validate(kit))
	require.Error(t, schema.Validate(map[string]any{"colour": "red"}))
}

// A new account begins with the welcome credits and a sample brand, once.
func testSample(t *testing.T, w *world) {
	n := w.startNode(func(c *Config) { c.Sample = true })
	ann := n.person(t)
	brands := ann.get("/v1/brands")
	require.Equal(t, 1, brands.len("items"), "already at the first look")
	require.Equal(t, "Solstice Tea", brands.text("items.0.kit.name"))
	logo := ann.get("/v1/assets/" + brands.text("items.0.kit.logo_asset_id"))
	require.Equal(t, "logo", logo.text("kind"))
	require.Equal(t, 10, ann.get("/v1/credits").number("available"))
	// Another node does not know the account, and asks nobody for it again.
	other := ann.at(w.startNode(func(c *Config) { c.Sample = true }))
	require.Equal(t, 1, other.get("/v1/brands").len("items"))
	require.Equal(t, 10, other.get("/v1/credits").number("available"))
}

// A decider that stands still for a while holds up no request, and nobody has to ask
// again for what a new account begins with.
func TestAnOpeningOutlivesItsRequests(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		n := w.startNode(func(c *Config) { c.Sample = true })
		w.stop["decider"]()
		ann := n.person(t)
		require.Equal(t, http.StatusAccepted, ann.send(http.MethodPost, "/v1/brands", map[string]any{"kit": map[string]any{"name": "Waits its turn"}}, nil).status)
		w.startDecider()
		pool := w.pool("atelier_api")
		var brands int
		require.Eventually(t, func() bool {
			require.NoError(t, projections.Read(t.Context(), pool, ann.account, func(tx pgx.Tx) error {
				return tx.QueryRow(t.Context(), `SELECT count(*) FROM brands_api.brands`).Scan(&brands)
			}))
			return brands == 2
		}, patience, waitPoll, "the sample, and what was asked for meanwhile")
		require.Eventually(t, func() bool { return ann.get("/v1/credits").number("available") == 10 }, patience, waitPoll)
	})
}
