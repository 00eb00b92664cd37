package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// knowReport is what the demo shows of a know-information report's data.json.
type knowReport struct {
	CategoriesOnly bool `json:"categories_only"`
	Categories     []struct {
		Letter  string   `json:"letter"`
		Name    string   `json:"name"`
		Count   int64    `json:"record_count"`
		Sources []string `json:"sources"`
	} `json:"categories"`
	Information struct {
		Sold []struct {
			Letter string   `json:"letter"`
			Sold   []string `json:"sold_to"`
			Shared []string `json:"shared_with"`
		} `json:"sold_or_shared"`
		Disclosed []struct {
			Letter string   `json:"letter"`
			To     []string `json:"to"`
		} `json:"disclosed_for_business_purpose"`
	} `json:"information"`
}

// went says for each category where it came from and to whom it went, a line
// each.
func (r *knowReport) went() map[string][]string {
	lines := map[string][]string{}
	add := func(letter, how string, who []string) {
		if len(who) > 0 {
			lines[letter] = append(lines[letter], how+" "+strings.Join(who, ", "))
		}
	}
	for _, c := range r.Categories {
		add(c.Letter, "from", c.Sources)
	}
	for _, s := range r.Information.Sold {
		add(s.Letter, "sold to", s.Sold)
		add(s.Letter, "shared with", s.Shared)
	}
	for _, d := range r.Information.Disclosed {
		add(d.Letter, "disclosed for a business purpose to", d.To)
	}
	return lines
}

// tellReport shows what the report on categories says, and fails when it says
// nothing or shows what it must not: specific pieces.
func tellReport(file string, out io.Writer) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("opening the report: %w", err)
	}
	defer z.Close() //nolint:errcheck // only read from
	var r knowReport
	data, err := z.Open("data.json")
	if err != nil {
		return fmt.Errorf("opening the report: %w", err)
	}
	defer data.Close() //nolint:errcheck // only read from
	if err := json.NewDecoder(data).Decode(&r); err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	if !r.CategoriesOnly || len(r.Categories) == 0 {
		return errors.New("the report on categories has none, or is not about categories alone")
	}
	if _, err := fmt.Fprintln(out, "\nThe know-information report, by category of personal information:"); err != nil {
		return err
	}
	went := r.went()
	for _, c := range r.Categories {
		if _, err := fmt.Fprintf(out, "  %s  %-55s %12s\n", c.Letter, c.Name, countOf(c.Count)); err != nil {
			return err
		}
		for _, line := range went[c.Letter] {
			if _, err := fmt.Fprintf(out, "     %s\n", line); err != nil {
				return err
			}
		}
	}
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, "csv/") {
			return fmt.Errorf("the report on categories holds specific pieces: %s", f.Name)
		}
		if _, err := fmt.Fprintf(out, "  %8d  %s\n", f.UncompressedSize64, f.Name); err != nil {
			return err
		}
	}
	return nil
}
