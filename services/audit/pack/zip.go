package pack

import (
	"archive/zip"
	"io"
)

// Zip is a [Sink] that writes a zip into a stream as the files come.
type Zip struct{ archive *zip.Writer }

// NewZip returns a Zip; [Zip.Close] ends it.
func NewZip(w io.Writer) *Zip { return &Zip{zip.NewWriter(w)} }

// Put implements [Sink].
func (z *Zip) Put(name string, content []byte) error {
	file, err := z.archive.Create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return err
}

// Close writes the list of files. A zip that was not closed can't be opened, so
// a pack that was cut off is never taken for a whole one.
func (z *Zip) Close() error { return z.archive.Close() }
