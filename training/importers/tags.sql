SELECT file_no, tag, count(*) AS rows_found, min(row_no) AS first_row
FROM (
    SELECT file_no, row_no, unnest(string_split(cleaned, ' ')) AS tag
    FROM $rows
    WHERE $condition
)
WHERE tag <> ''
GROUP BY ALL
