-- Tell which users have changes that are not known to be in the database.
-- KEYS: claim hash, delta hash. Returns their ids, some twice, and the field `id`. One script: apart, a claim in between would
-- hide both.
local found = redis.call('HKEYS', KEYS[1])
for _, user_id in ipairs(redis.call('HKEYS', KEYS[2])) do
  found[#found + 1] = user_id
end
return found
