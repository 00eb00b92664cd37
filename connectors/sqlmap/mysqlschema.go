package sqlmap

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

func (d mysql) load(ctx context.Context, q querier, names []tableName) (*schema, error) {
	s := &schema{}
	version, err := query(ctx, q, "SELECT version()")
	if err != nil {
		return nil, err
	}
	mariadb := strings.Contains(text(version[0][0]), "MariaDB")
	for _, n := range names {
		rows, err := query(ctx, q, `
			SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES
			WHERE TABLE_SCHEMA = coalesce(nullif(?, ''), database()) AND TABLE_NAME = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')`, n.schema, n.name)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			t := &table{schema: text(r[0]), name: text(r[1])}
			if s.find(t.schema, t.name) != nil {
				continue
			}
			switch engine := text(r[3]); {
			case text(r[2]) == "SYSTEM VERSIONED":
				t.unfit = "is system-versioned: what is deleted stays in its history"
			case !strings.EqualFold(engine, "InnoDB"):
				t.unfit = "has the storage engine " + engine + ", which can't take a change back; ALTER TABLE … ENGINE = InnoDB"
			}
			if err := d.columns(ctx, q, t, mariadb); err != nil {
				return nil, err
			}
			s.tables = append(s.tables, t)
		}
	}
	return s, d.foreignKeys(ctx, q, s)
}

// text reads what the driver hands out as bytes or a string; NULL is empty.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

func (d mysql) columns(ctx context.Context, q querier, t *table, mariadb bool) error {
	rows, err := query(ctx, q, `
		SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_SET_NAME, COLLATION_NAME,
			NUMERIC_PRECISION, NUMERIC_SCALE, EXTRA LIKE '%GENERATED%' AND EXTRA NOT LIKE 'DEFAULT_GENERATED%'
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, t.schema, t.name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		c := &column{name: text(r[0]), notNull: text(r[3]) == "NO", charset: text(r[5]), collation: text(r[6]), generated: text(r[9]) == "1"}
		c.class, c.typ = mysqlClass(text(r[1]), strings.Contains(text(r[2]), "unsigned"), text(r[7]), text(r[8]))
		// 0 for types without a length.
		if n, _ := strconv.Atoi(text(r[4])); c.class == classText && n < 1<<30 {
			c.length = n
		}
		t.columns = append(t.columns, c)
	}
	if err := d.indexes(ctx, q, t); err != nil {
		return err
	}
	if len(t.key) == 0 && t.unfit == "" {
		t.unfit = "has no primary key and no unique key without NULLs, so its rows can't be told apart; add one, such as ADD COLUMN id BIGINT AUTO_INCREMENT PRIMARY KEY"
	}
	return d.checks(ctx, q, t, mariadb)
}

func (mysql) indexes(ctx context.Context, q querier, t *table) error {
	rows, err := query(ctx, q, `
		SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX`, t.schema, t.name)
	if err != nil {
		return err
	}
	var names []string
	columns, partial := map[string][]string{}, map[string]bool{}
	for _, r := range rows {
		name := text(r[0])
		if columns[name] == nil {
			names = append(names, name)
		}
		columns[name] = append(columns[name], text(r[1]))
		// An index of prefixes or of expressions keeps no values apart.
		partial[name] = partial[name] || r[2] != nil || r[1] == nil
	}
	for _, name := range names {
		if partial[name] {
			continue
		}
		if name == "PRIMARY" {
			t.primary = columns[name]
		}
		t.uniques = append(t.uniques, columns[name])
	}
	t.pickKey(t.primary)
	return nil
}

var jsonValid = regexp.MustCompile("^\\(*json_valid\\([`\"]?([^`\"]+?)[`\"]?\\)\\)*$")

// checks reads the CHECK constraints. MariaDB's JSON type is a text with one.
func (mysql) checks(ctx context.Context, q querier, t *table, mariadb bool) error {
	statement := `
		SELECT k.CONSTRAINT_NAME, k.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS k
		WHERE k.CONSTRAINT_SCHEMA = ? AND k.TABLE_NAME = ?`
	if !mariadb {
		statement = `
			SELECT k.CONSTRAINT_NAME, k.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS k
				JOIN information_schema.TABLE_CONSTRAINTS t ON t.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = k.CONSTRAINT_NAME
			WHERE t.CONSTRAINT_TYPE = 'CHECK' AND t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?`
	}
	rows, err := query(ctx, q, statement, t.schema, t.name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		clause := strings.ToLower(text(r[1]))
		if m := jsonValid.FindStringSubmatch(clause); m != nil {
			for _, c := range t.columns {
				if strings.EqualFold(c.name, m[1]) {
					c.class, c.length = classJSON, 0
				}
			}
			continue
		}
		t.checks = append(t.checks, check{name: "CHECK " + text(r[0]), text: clause, cols: words(clause)})
	}
	return nil
}

func (mysql) foreignKeys(ctx context.Context, q querier, s *schema) error {
	rows, err := query(ctx, q, `
		SELECT k.CONSTRAINT_SCHEMA, k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,
			r.DELETE_RULE, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME
		FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
			ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
		WHERE k.REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 4, 2, k.ORDINAL_POSITION`)
	if err != nil {
		return err
	}
	var keys []*foreignKey
	var last string
	for _, r := range rows {
		id := text(r[0]) + "\x00" + text(r[3]) + "\x00" + text(r[1])
		if id != last {
			last = id
			rule := text(r[6])
			keys = append(keys, &foreignKey{
				name: text(r[1]), childSchema: text(r[2]), child: text(r[3]), parentSchema: text(r[4]), parent: text(r[5]),
				cascade: rule == "CASCADE", setNull: rule == "SET NULL" || rule == "SET DEFAULT",
			})
		}
		k := keys[len(keys)-1]
		k.childCols, k.parentCols = append(k.childCols, text(r[7])), append(k.parentCols, text(r[8]))
	}
	s.connect(keys)
	return nil
}

// mysqlClass gives the class of a type and what a text is cast to for it; a
// type without the latter takes text as it is.
func mysqlClass(name string, unsigned bool, precision, scale string) (class, string) {
	switch name {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if unsigned {
			return classInt, "UNSIGNED"
		}
		return classInt, "SIGNED"
	case "year":
		return classInt, "UNSIGNED"
	case "decimal":
		return classNumber, "DECIMAL(" + precision + ", " + scale + ")"
	case "float", "double":
		return classNumber, "DOUBLE"
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return classText, ""
	case "date":
		return classTime, "DATE"
	case "datetime", "timestamp":
		return classTime, "DATETIME(6)"
	case "json":
		return classJSON, ""
	case "uuid":
		return classUUID, ""
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return classBytes, ""
	case "bit":
		return classOther, "UNSIGNED"
	case "time":
		return classOther, "TIME(6)"
	}
	return classOther, ""
}
