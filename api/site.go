package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// The screens: exported files that are served as they are. A page stands under its
// name without .html; what has a hash in its name is kept by browsers for ever.

const (
	siteAssets      = "/_next/static/"
	siteNotFound    = "/404"
	cacheForEver    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
)

// siteFile is a file with what is needed to send it. The bodies are shared by all
// answers and must not be changed.
type siteFile struct {
	plain, gzip, brotli []byte
	contentType, etag   string
	// policy is a page's Content-Security-Policy; empty: not a page.
	policy string
}

// site are the files by the paths under which they are served.
type site map[string]*siteFile

var inlineScript = regexp.MustCompile(`(?s)<script(?:\s[^>]*)?>(.*?)</script>`)

// newSite reads the exported files. pictures is another origin that stored pictures
// come from, empty where there is none; connect are others that the pages may call. A
// nil or empty file system gives an empty site.
func newSite(files fs.FS, pictures string, connect ...string) (site, error) {
	s := site{}
	if files == nil {
		return s, nil
	}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		switch path.Ext(name) {
		case ".gz", ".br":
			return nil // read with what they are compressed from
		}
		f, err := newSiteFile(files, name, pictures, connect)
		if err == nil {
			s[sitePath(name)] = f
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("screens: %w", err)
	}
	return s, nil
}

func sitePath(name string) string {
	name = strings.TrimSuffix(name, ".html")
	if name == "index" {
		return "/"
	}
	return "/" + name
}

func newSiteFile(files fs.FS, name, pictures string, connect []string) (*siteFile, error) {
	f := &siteFile{contentType: mime.TypeByExtension(path.Ext(name))}
	for suffix, body := range map[string]*[]byte{"": &f.plain, ".gz": &f.gzip, ".br": &f.brotli} {
		read, err := fs.ReadFile(files, name+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		*body = read
	}
	sum := sha256.Sum256(f.plain)
	f.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	if path.Ext(name) == ".html" {
		f.policy = pagePolicy(f.plain, pictures, connect)
	}
	return f, nil
}

// pagePolicy lets in what a page consists of: its own inline scripts by their hashes
// (CSP level 2), files of this server, pictures that it made itself, and those that a
// CDN brings, which it also fetches to save them.
func pagePolicy(page []byte, pictures string, connect []string) string {
	images, calls := []string{"'self'", "blob:", "data:"}, append([]string{"'self'"}, connect...)
	if pictures != "" {
		images, calls = append(images, pictures), append(calls, pictures)
	}
	scripts := []string{"'self'"}
	for _, script := range inlineScript.FindAllSubmatch(page, -1) {
		if len(script[1]) == 0 {
			continue // has a src
		}
		sum := sha256.Sum256(script[1])
		hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		if !slices.Contains(scripts, hash) {
			scripts = append(scripts, hash)
		}
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'self'; font-src 'self'; " +
		"img-src " + strings.Join(images, " ") + "; connect-src " + strings.Join(calls, " ") +
		"; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// screens answers with a file of the site, where the path is one's. A person who asks
// for a page that nobody has is shown so.
func (s *Server) screens(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodGet && c.Method() != fiber.MethodHead {
		return c.Next()
	}
	if f := s.site[c.Path()]; f != nil && c.Path() != siteNotFound {
		return f.send(c, fiber.StatusOK)
	}
	err := c.Next()
	var unknown *fiber.Error
	if page := s.site[siteNotFound]; page != nil && errors.As(err, &unknown) && unknown.Code == fiber.StatusNotFound && wantsPage(c) {
		return page.send(c, fiber.StatusNotFound)
	}
	return err
}

func wantsPage(c *fiber.Ctx) bool {
	return strings.Contains(c.Get(fiber.HeaderAccept), fiber.MIMETextHTML) && !strings.HasPrefix(c.Path(), "/v1")
}

func (f *siteFile) send(c *fiber.Ctx, status int) error {
	c.Set(fiber.HeaderETag, f.etag)
	c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	if strings.HasPrefix(c.Path(), siteAssets) {
		c.Set(fiber.HeaderCacheControl, cacheForEver)
	} else {
		c.Set(fiber.HeaderCacheControl, cacheRevalidate)
	}
	if f.policy != "" {
		c.Set(fiber.HeaderContentSecurityPolicy, f.policy)
		c.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if status == fiber.StatusOK && strings.Contains(c.Get(fiber.HeaderIfNoneMatch), f.etag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, f.contentType)
	body := f.plain
	accepted := c.Get(fiber.HeaderAcceptEncoding)
	switch {
	case f.brotli != nil && strings.Contains(accepted, "br"):
		body = f.brotli
		c.Set(fiber.HeaderContentEncoding, "br")
	case f.gzip != nil && strings.Contains(accepted, "gzip"):
		body = f.gzip
		c.Set(fiber.HeaderContentEncoding, "gzip")
	}
	c.Status(status).Response().SetBodyRaw(body)
	return nil
}

// SignInMethod is how the screens sign people in where the issuer is not embedded: a
// Supabase project's address and its publishable key. Zero: they cannot.
type SignInMethod struct{ URL, Key string }

// GetClientConfig implements ServerInterface.
func (s *Server) GetClientConfig(c *fiber.Ctx) error {
	config := ClientConfig{SignIn: ClientSignIn{Kind: ClientSignInKindNone}}
	switch method := s.config.SignIn; {
	case s.config.Issuer != nil:
		config.SignIn.Kind = ClientSignInKindEmbedded
	case method.URL != "":
		config.SignIn = ClientSignIn{Kind: ClientSignInKindSupabase, URL: &method.URL, Key: &method.Key}
	}
	return c.JSON(config)
}
