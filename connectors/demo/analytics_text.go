package demo

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// quoteAll writes texts as JSON strings, as they are and with everything beyond
// ASCII escaped, as different writers of one stream do.
func quoteAll(lists ...[]string) (plain, ascii map[string]string) {
	plain, ascii = make(map[string]string), make(map[string]string)
	for _, list := range lists {
		for _, s := range list {
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
			plain[s] = quoted
			var b strings.Builder
			for _, r := range quoted {
				if r < 0x80 {
					b.WriteRune(r)
					continue
				}
				for _, unit := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&b, `\u%04x`, unit)
				}
			}
			ascii[s] = b.String()
		}
	}
	return plain, ascii
}
