// Package web holds the screens: a Next.js app, exported as files (npm run build)
// and brought along in the binary. The api serves them.
package web

import (
	"embed"
	"io/fs"
)

// `all:` because embed leaves out what begins with an underscore, and so all of
// _next, silently.
//
//go:embed all:dist
var dist embed.FS

// Files returns the exported files by their paths, each text also as .gz and .br.
// Before the first build there is only a placeholder.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the path is a constant
	}
	return files
}
