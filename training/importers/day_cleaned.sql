SELECT file_no, tag, count(*), min(row_no)
FROM (
    SELECT file_no, row_no, unnest(string_split(cleaned, ' ')) AS tag
    FROM $rows JOIN day_places USING (file_no, row_no)
    WHERE cleaned <> '' AND merged IS NULL
)
WHERE tag <> ''
GROUP BY ALL
