SELECT file_no, $reason AS reason, count(*) AS rows_found, min(row_no) AS first_row
FROM $rows
WHERE $condition
GROUP BY ALL
