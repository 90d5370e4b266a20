SELECT file_no, dropped, count(*), min(row_no)
FROM $rows
GROUP BY ALL
