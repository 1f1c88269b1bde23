# Read by cpack before it packs: without these tools a package would come out without its dependencies.
if(CPACK_GENERATOR MATCHES DEB)
  foreach(tool IN ITEMS dpkg-shlibdeps file)
    find_program(found_${tool} ${tool})
    if(NOT found_${tool})
      message(FATAL_ERROR "'${tool}' is missing, so the package would name no dependencies: apt-get install dpkg-dev file")
    endif()
  endforeach()
endif()
