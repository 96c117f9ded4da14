package api

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"atelier/internal/picture"
	"atelier/schemas"
)

// unzipped reads a ZIP back: its files by name.
func unzipped(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(t, err)
		files[f.Name], err = io.ReadAll(r) // which checks the sum
		require.NoError(t, err, f.Name)
		require.NoError(t, r.Close())
	}
	return files
}

func testExports(t *testing.T, w *world) {
	ann := w.node.person(t)
	images := ann.branded("meta_feed_square", "meta_story")
	square, story := images["meta_feed_square"], images["meta_story"]

	a := ann.command(http.StatusCreated, http.MethodPost, "/v1/exports", map[string]any{"generations": []string{square, story}}, withKey("zip"))
	require.Equal(t, []int{2, 0}, []int{a.number("files"), a.number("skipped")})
	again := ann.command(http.StatusCreated, http.MethodPost, "/v1/exports", map[string]any{"generations": []string{square, story}}, withKey("zip"))
	require.Equal(t, a.text("id"), again.text("id"))
	require.NotContains(t, a.text("url"), "Herbst", "what a person wrote is not in the address")
	files := unzipped(t, fetch(t, w.node.base+a.text("url"), http.StatusOK))
	require.Len(t, files, 4)
	for name, p := range map[string]string{"meta_feed_square/Herbst-2026_Fjord_meta_feed_square_01.jpg": "meta_feed_square", "meta_story/Herbst-2026_Fjord_meta_story_01.jpg": "meta_story"} {
		require.Contains(t, files, name)
		require.Equal(t, files[name], ann.bytesOf("/v1/generations/"+images[p]+"/file?placement="+p), "the same file as by itself")
		require.Equal(t, picture.TrainedAlgorithmicMedia, picture.DigitalSourceType(files[name]))
	}

	// Every placement that the two can give, within what its platform takes.
	all := []string{}
	for _, p := range schemas.Placements {
		all = append(all, p.ID)
	}
	body := map[string]any{"generations": []string{square, story}, "placements": all, "naming": "{placement}"}
	said := ann.send(http.MethodPost, "/v1/exports", body, nil).refused(http.StatusUnprocessableEntity, codeNeedsAdapt)
	require.Equal(t, 7, said.number("files"))
	require.Equal(t, 9, said.len("errors"), said)
	require.Equal(t, "/generations/1", said.text("errors.0.pointer"))
	require.Contains(t, said.text("errors.0.detail"), "meta_feed_square would lose")
	body["skip_unfit"] = true
	a = ann.command(http.StatusCreated, http.MethodPost, "/v1/exports", body, nil)
	require.Equal(t, []int{7, 9}, []int{a.number("files"), a.number("skipped")})
	files = unzipped(t, fetch(t, w.node.base+a.text("url"), http.StatusOK))
	require.Len(t, files, 7+2)
	for _, p := range schemas.Placements {
		for name, data := range files {
			if !strings.HasPrefix(name, p.ID+"/") {
				continue
			}
			require.LessOrEqual(t, len(data), p.BytesMax, name)
			config, err := picture.DecodeConfig(data)
			require.NoError(t, err, name)
			require.Equal(t, [2]int{p.Width, p.Height}, [2]int{config.Width, config.Height}, name)
			require.Equal(t, picture.TrainedAlgorithmicMedia, picture.DigitalSourceType(data), name)
		}
	}
	var manifest struct{ Files []manifestFile }
	require.NoError(t, json.Unmarshal(files["manifest.json"], &manifest))
	table, err := csv.NewReader(bytes.NewReader(files["manifest.csv"])).ReadAll()
	require.NoError(t, err)
	require.Equal(t, manifestColumns, table[0])
	require.Len(t, manifest.Files, 16)
	require.Len(t, table, 17)
	count := map[string]int{}
	for i, f := range manifest.Files {
		count[f.Status]++
		require.Equal(t, []string{f.File, f.Status, f.Reason}, table[i+1][:3])
		if f.Status == fileIncluded {
			require.Len(t, files[f.File], f.Bytes)
		} else {
			require.Contains(t, f.Reason, "would lose")
		}
	}
	require.Equal(t, map[string]int{fileIncluded: 7, fileSkipped: 9}, count)

	// A master that is gone fails its own file alone, and the manifest says so.
	var master string
	require.NoError(t, w.pool("").QueryRow(t.Context(), `SELECT media_key FROM galleries_api.generations WHERE generation_id = $1`, story).Scan(&master))
	require.NoError(t, w.store.Delete(t.Context(), master))
	a = ann.command(http.StatusCreated, http.MethodPost, "/v1/exports", map[string]any{"generations": []string{square, story}, "overlay": "none"}, nil)
	files = unzipped(t, fetch(t, w.node.base+a.text("url"), http.StatusOK))
	require.NoError(t, json.Unmarshal(files["manifest.json"], &manifest))
	require.Len(t, files, 3)
	require.Equal(t, []string{fileIncluded, fileSkipped}, []string{manifest.Files[0].Status, manifest.Files[1].Status})
	require.Equal(t, "the picture is gone", manifest.Files[1].Reason)

	for name, tt := range map[string]struct {
		body          map[string]any
		status        int
		code, pointer string
	}{
		"an unknown field":    {map[string]any{"generations": []string{square}, "naming": "{brand}_{price}"}, 422, codeValidation, "/naming"},
		"an open brace":       {map[string]any{"generations": []string{square}, "naming": "{brand"}, 422, codeValidation, "/naming"},
		"no such placement":   {map[string]any{"generations": []string{square}, "placements": []string{"wall"}}, 422, codeValidation, "/placements/0"},
		"no image":            {map[string]any{"generations": []string{}}, 422, codeValidation, "/generations"},
		"an image twice":      {map[string]any{"generations": []string{square, square}}, 422, codeValidation, "/generations"},
		"another's image":     {map[string]any{"generations": []string{square, schemas.NewID()}}, 404, codeNotFound, "/generations/1"},
		"nothing that fits":   {map[string]any{"generations": []string{story}, "placements": []string{"meta_feed_square"}, "skip_unfit": true}, 422, codeNeedsAdapt, "/generations/0"},
		"more than 100 files": {map[string]any{"generations": manyIDs(13), "placements": all}, 422, codeValidation, "/generations"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ann.in(t).send(http.MethodPost, "/v1/exports", tt.body, nil).refused(tt.status, tt.code)
			require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
		})
	}
	testTickets(t, w, ann, a.text("url"))
}

func manyIDs(n int) (ids []string) {
	for range n {
		ids = append(ids, schemas.NewID())
	}
	return ids
}

// testTickets tries addresses that this server did not make, or made too long ago.
func testTickets(t *testing.T, w *world, ann *person, url string) {
	ben := w.node.person(t)
	ben.brand(nil) // which makes a key
	stranger := &person{t: t, node: w.node}
	for name, address := range map[string]string{
		"changed":         url[:len(url)-3] + "AAA",
		"another account": strings.Replace(url, ann.account, ben.account, 1),
		"no account":      strings.Replace(url, ann.account, "x", 1),
		"no base64":       url + "*",
		"empty":           "/exports/" + ann.account + "/AA",
	} {
		t.Run(name, func(t *testing.T) {
			stranger.in(t).send(http.MethodGet, address, nil, nil).refused(http.StatusForbidden, codeLinkInvalid)
		})
	}
	s := w.node.server
	sealed, err := s.sealTicket(t.Context(), ann.account, ticket{Kind: ticketKind, Expires: time.Now().Add(-time.Second)})
	require.NoError(t, err)
	stranger.send(http.MethodGet, sealed, nil, nil).refused(http.StatusGone, codeLinkExpired)
	sealed, err = s.sealTicket(t.Context(), ann.account, ticket{Kind: "brief", Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	stranger.send(http.MethodGet, sealed, nil, nil).refused(http.StatusForbidden, codeLinkInvalid)

	// A client that leaves ends the work, and its place is free again.
	for range zipsAtOnceMax + 1 {
		response, err := noRedirects.Get(w.node.base + url)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Eventually(t, func() bool { return s.zips.all() == 0 }, patience, time.Millisecond)
	}
}

func TestFilenames(t *testing.T) {
	for text, want := range map[string]string{
		"Herbst 2026": "Herbst-2026", "../../etc/passwd": "etc-passwd", "..": noName, "": noName, "/abs": "abs", `C:\x`: "C-x",
		"a\x00b\nc\td": "a-b-c-d", "CON": "_CON", "con.txt": "_con.txt", "lpt1": "_lpt1", "console": "console", "Größe": "Größe",
		"a__--..b": "a_b", ".hidden": "hidden", "trailing. ": "trailing", "=cmd|' /C calc'!A0": "cmd-C-calc-A0", "\u202egpj.exe": "gpj.exe",
		"bad\xffutf": "bad-utf", "日本": "日本", "🔥": noName, "a\u0308": "ä", strings.Repeat("ä", 100): strings.Repeat("ä", 60),
	} {
		require.Equal(t, want, filename(text), "%q", text)
	}
	taken := map[string]bool{}
	require.Equal(t, []string{"a", "A-2", "a-3", "b"}, []string{uniqueName("a", taken), uniqueName("A", taken), uniqueName("a", taken), uniqueName("b", taken)})
}

// Whatever a person calls things, names stay in their folder and are names anywhere.
func TestNamesOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := generationRow{campaign: rapid.String().Draw(t, "campaign"), product: new(rapid.String().Draw(t, "product"))}
		template := "{campaign}" + strings.NewReplacer("{", "", "}", "").Replace(rapid.String().Draw(t, "template")) + "{product}{brand}"
		name := named(template, g, string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "brand")), schemas.Placements[0], 7)
		require.Empty(t, brokenNaming(template))
		require.True(t, utf8.ValidString(name) && name != "" && len(name) <= filenameBytesMax+1, "%q", name)
		require.Equal(t, "x/"+name, path.Clean("x/"+name), "%q", name)
		require.False(t, strings.ContainsAny(name, "/\\:*?\"<>|\x00\n\r\t") || strings.HasPrefix(name, ".") || devices.MatchString(name), "%q", name)
		require.Equal(t, cell(name), name, "a spreadsheet reads it as text: %q", name)
	})
	require.Equal(t, "Fjord_meta_feed_square_03", named(namingDefault, generationRow{}, "Fjord", schemas.Placements[0], 3), "an empty field leaves no gap")
	require.Contains(t, brokenNaming("{brand}{x}"), "{x} is no field")
	require.NotEmpty(t, brokenNaming("}{"))
	require.Empty(t, brokenNaming(fmt.Sprintf("{%s}", strings.Join(namingFields, "}{"))))
}
