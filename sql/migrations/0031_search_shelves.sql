-- Microcosms, people and items get shelves too, so that a common word is looked for among the newest titles first: they are
-- written anew in the background, and found where they stand until then.
INSERT INTO search_work AS w (site_id, item_type_id, upto_id)
SELECT DISTINCT d.site_id, k.kind, 9223372036854775807
  FROM (SELECT s.site_id FROM sites s WHERE EXISTS (SELECT FROM search_documents d WHERE d.site_id = s.site_id)) d
 CROSS JOIN unnest(ARRAY[2, 3, 6]::smallint[]) AS k (kind)
    ON CONFLICT (site_id, item_type_id) DO UPDATE SET upto_id = EXCLUDED.upto_id;

-- What is new waits beside the index until it is put in with others, and each look at a shelf reads all that waits.
ALTER INDEX search_documents_vector SET (gin_pending_list_limit = 256);
