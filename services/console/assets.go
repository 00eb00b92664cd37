package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

//go:embed assets templates
var files embed.FS

// versions are the first digits of each asset's digest: an address that names
// them can be kept for ever.
var versions = assetVersions()

func assetVersions() map[string]string {
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic(err) // it is part of the program
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		content, err := files.ReadFile(path.Join("assets", e.Name()))
		if err != nil {
			panic(err) // it is part of the program
		}
		sum := sha256.Sum256(content)
		out[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return out
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset":  func(name string) string { return "/assets/" + name + "?v=" + versions[name] },
	"right":  func(right string) string { return label(rightLabels, request.Right(right)) },
	"result": func(result string) string { return inWords(resultWords, request.Result(result)).Label },
	"words":  func(code string) string { return strings.ReplaceAll(code, "_", " ") },
}).ParseFS(files, "templates/*.html"))

func serveAsset(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("name")
	content, err := files.ReadFile(path.Join("assets", name))
	if err != nil {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	if req.URL.Query().Get("v") == versions[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(content) //nolint:gosec // our own files; the client may have gone
}
