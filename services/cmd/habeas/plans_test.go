package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
)

// What may not wait for anybody can't be made to.
func TestPlanRights(t *testing.T) {
	got, err := planRights([]string{"delete", "correct", "know_specific"})
	if err != nil || !slices.Equal(got, []request.Right{request.Delete, request.Correct, request.KnowSpecific}) {
		t.Errorf("%v, %v", got, err)
	}
	for name, want := range map[string]string{
		"opt_out_sale_share": "may not wait", "limit_spi": "may not wait", "erase": "no right", "appeal": "no right", "": "no right",
	} {
		if _, err := planRights([]string{"delete", name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
