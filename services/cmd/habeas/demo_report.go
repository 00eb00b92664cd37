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
		Letter      string   `json:"letter"`
		Name        string   `json:"name"`
		Count       int64    `json:"record_count"`
		SoldTo      []string `json:"sold_or_shared_to"`
		DisclosedTo []string `json:"disclosed_to"`
	} `json:"categories"`
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
	for _, c := range r.Categories {
		if _, err := fmt.Fprintf(out, "  %s  %-55s %4d records\n", c.Letter, c.Name, c.Count); err != nil {
			return err
		}
		for _, to := range []struct {
			how string
			who []string
		}{{"sold to or shared with", c.SoldTo}, {"disclosed to", c.DisclosedTo}} {
			if len(to.who) == 0 {
				continue
			}
			if _, err := fmt.Fprintf(out, "     %s %s\n", to.how, strings.Join(to.who, ", ")); err != nil {
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
