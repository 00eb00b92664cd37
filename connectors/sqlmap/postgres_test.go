package sqlmap

import "testing"

// TestPostgresWithoutPreparedStatements connects as one has to behind a pooler
// that gives every transaction another connection.
func TestPostgresWithoutPreparedStatements(t *testing.T) {
	db := newPostgres(t)
	db.exec(t, shop)
	db.address += "&default_query_exec_mode=exec"
	c := db.connect(t, shopMap)
	zero := email("zero@example.com")
	want(t, "located", located(t, c, zero), []string{"people 1", "orders 1", "folders 3", "visits 2"})
	b := &basket{}
	if err := c.Export(t.Context(), zero, b); err != nil || len(b.lines) != 7 {
		t.Errorf("copied %d records (%v), want 7", len(b.lines), err)
	}
	erase(t, c, zero)
	want(t, "located afterwards", located(t, c, zero), nil)
}
