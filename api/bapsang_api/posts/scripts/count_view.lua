-- Count a view, once per viewer and minute.
-- KEYS: seen marker of (post, viewer), pending views by post. ARGV: post id, seconds a viewer counts once.
-- Returns 1 when the view was counted.
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[2]) then
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
  return 1
end
return 0
